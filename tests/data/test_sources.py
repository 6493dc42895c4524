import bz2
import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Literal

import pytest

from cifar_core.data.errors import (
    DataDamagedError,
    DataError,
    DataNotFoundError,
    DataUnreadableError,
    DataUnsafeError,
)
from cifar_core.data.sources import ReadBatch, keras_cache, locate, read
from cifar_core.experiment.datasets import DATASETS
from tests.data.makers import NAMES, ROWS, add, archive, binary_files, fill, labels, python_files


def read_all(location: Path) -> list[ReadBatch]:
    return sorted(read(locate(location), DATASETS["cifar10"]), key=lambda each: each.position)


def assert_six_batches(found: list[ReadBatch]) -> None:
    assert [each.batch[1].tolist() for each in found] == [labels(position) for position in range(6)]


@pytest.mark.parametrize("files", [python_files(), binary_files()], ids=["python", "binary"])
@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py", "cifar-10-batches-bin"])
def test_batches_are_found_in_the_folder_that_is_named_or_in_its_usual_subfolder(
    tmp_path: Path, files: dict[str, bytes], inside: str
) -> None:
    fill(tmp_path / inside, files)
    assert_six_batches(read_all(tmp_path))


@pytest.mark.parametrize("files", [python_files(), binary_files()], ids=["python", "binary"])
@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "renamed.dat", "x.zip"])
def test_an_archive_is_judged_by_its_content_and_not_by_its_name(
    tmp_path: Path, files: dict[str, bytes], mode: Literal["w:gz", "w"], name: str
) -> None:
    assert_six_batches(read_all(archive(tmp_path / name, files, mode=mode)))


@pytest.mark.parametrize("inside", ["", "./", "deep/er/"])
def test_the_folder_inside_an_archive_does_not_matter(tmp_path: Path, inside: str) -> None:
    assert_six_batches(read_all(archive(tmp_path / "a.tar.gz", python_files(), inside=inside)))


@pytest.mark.parametrize(
    "inside",
    [
        "cifar-10-batches-py-target/cifar-10-batches-py",
        "cifar-10-batches-py/cifar-10-batches-py",
        "cifar-10-batches-py_extracted/cifar-10-batches-py",
        "cifar-10-batches-py",
    ],
)
def test_what_keras_unpacked_is_found_in_its_cache(inside: str) -> None:
    fill(keras_cache() / inside, python_files())
    assert_six_batches(read_all(keras_cache()))


@pytest.mark.parametrize(
    "name", ["cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz", "cifar-10-python.tar.gz"]
)
def test_archives_of_keras_are_found_in_its_cache(name: str) -> None:
    archive(keras_cache() / name, python_files())
    assert_six_batches(read_all(keras_cache()))


def test_an_archive_heals_a_half_extracted_folder_beside_it(tmp_path: Path) -> None:
    fill(tmp_path / "cifar-10-batches-py", dict(list(python_files().items())[:3]))
    archive(tmp_path / "cifar-10-python.tar.gz", python_files())
    assert_six_batches(read_all(tmp_path))


def test_a_half_extracted_folder_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    fill(tmp_path, {name: content for name, content in python_files().items() if name not in NAMES[1:3]})
    with pytest.raises(DataDamagedError, match="data_batch_2, data_batch_3 missing") as caught:
        locate(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_truncated_batch_is_refused_by_name(tmp_path: Path) -> None:
    fill(tmp_path, python_files())
    (tmp_path / "data_batch_3").write_bytes(python_files()["data_batch_3"][:5000])
    with pytest.raises(DataDamagedError, match=str(tmp_path / "data_batch_3")):
        read_all(tmp_path)


def test_a_batch_that_is_far_too_large_is_refused_unread(tmp_path: Path) -> None:
    fill(tmp_path, python_files())
    with (tmp_path / "data_batch_3").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataDamagedError, match=r"data_batch_3 is too large for a batch: 1,000,000,000,000 bytes"):
        read_all(tmp_path)


def test_a_batch_that_is_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    fill(tmp_path, {name: content for name, content in python_files().items() if name != "test_batch"})
    (tmp_path / "test_batch").mkdir()
    with pytest.raises(DataDamagedError, match="test_batch should be a file"):
        read_all(tmp_path)


def test_an_empty_folder_a_missing_one_and_a_single_batch_say_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"There is no CIFAR-10 in .*Name the folder"):
        locate(tmp_path)
    with pytest.raises(DataNotFoundError, match=r"nowhere does not exist\. Name the folder"):
        locate(tmp_path / "nowhere")
    fill(tmp_path, python_files())
    with pytest.raises(DataNotFoundError, match="one of CIFAR-10's six batches: name the folder"):
        locate(tmp_path / "test_batch")


def test_a_device_is_no_archive() -> None:
    if os.name == "posix":
        with pytest.raises(DataNotFoundError, match="neither a folder nor a file"):
            locate(Path("/dev/null"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 a zip", "is no tar archive"),
        (b"<html>sign in</html>" * 100, "is no tar archive"),
        (bz2.compress(b"tar"), "is no tar archive"),
        (b"\x1f\x8b nonsense", "cannot be read as an archive"),
        (gzip.compress(b"no tar in here" * 500, mtime=0), "cannot be read as an archive"),
        (gzip.compress(b"", mtime=0), "is no complete CIFAR-10 archive|cannot be read as an archive"),
    ],
)
def test_a_file_that_is_no_archive_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "given.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataDamagedError, match=words) as caught:
        read_all(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_archive_is_refused_by_name(tmp_path: Path, share: float) -> None:
    path = archive(tmp_path / "given.tar.gz", python_files())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataDamagedError, match=r"given\.tar\.gz cannot be read as an archive"):
        read_all(path)


def test_a_flipped_bit_in_an_archive_is_found_by_its_checksum(tmp_path: Path) -> None:
    plain = archive(tmp_path / "plain.tar", binary_files(), mode="w").read_bytes()
    packed = bytearray(gzip.compress(plain, compresslevel=0))
    packed[len(packed) // 2] ^= 1
    path = tmp_path / "given.tar.gz"
    path.write_bytes(packed)
    with pytest.raises(DataDamagedError, match="cannot be read as an archive"):
        read_all(path)


def test_an_archive_without_a_batch_says_which(tmp_path: Path) -> None:
    files = {name: content for name, content in python_files().items() if name != "data_batch_5"}
    with pytest.raises(DataDamagedError, match="is no complete CIFAR-10 archive"):
        read_all(archive(tmp_path / "given.tar.gz", files))


def _hostile(path: Path, name: str, **fields: object) -> Path:
    files = python_files()
    with tarfile.open(path, "w:gz") as tar:
        for other in NAMES[1:]:
            add(tar, f"cifar-10-batches-py/{other}", files[other])
        content = b"" if "type" in fields else files["data_batch_1"]
        add(tar, name, content, **fields)
    return path


@pytest.mark.parametrize("name", ["../../data_batch_1", "/tmp/data_batch_1", "a/../../data_batch_1"])
def test_a_member_that_points_outside_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.parent.rglob("*"))
    path = _hostile(tmp_path / "given.tar.gz", name)
    with pytest.raises(DataUnsafeError, match="points outside"):
        read_all(path)
    assert set(tmp_path.parent.rglob("*")) - before == {path}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_a_link_or_device_in_place_of_a_batch_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = _hostile(tmp_path / "given.tar.gz", "x/data_batch_1", type=kind, linkname="/etc/passwd")
    with pytest.raises(DataUnsafeError, match=r"x/data_batch_1 in .* is a link, a device"):
        read_all(path)


def test_a_batch_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnsafeError, match="there twice"):
        read_all(_hostile(tmp_path / "given.tar.gz", "other/data_batch_2"))


def test_python_and_binary_batches_in_one_archive_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "given.tar.gz", {**python_files(), "test_batch.bin": b""})
    with pytest.raises(DataDamagedError):
        read_all(path)


def test_an_archive_that_unpacks_without_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    zeros = bytes(1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        head = tarfile.TarInfo("filler")
        head.size = 1 << 40
        file.write(head.tobuf())
        for _ in range(20):
            file.write(zeros)
    with pytest.raises(DataUnsafeError, match=r"bomb\.tar\.gz unpacks to more than"):
        read_all(path)


def test_a_member_that_claims_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    head = tarfile.TarInfo("data_batch_1")
    head.size = 1 << 40
    path.write_bytes(gzip.compress(head.tobuf() + bytes(10240)))
    with pytest.raises(DataUnsafeError, match="claims 1,099,511,627,776 bytes"):
        read_all(path)


def test_a_member_that_claims_more_than_there_is_is_not_searched_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "endless.tar.gz"
    head = tarfile.TarInfo("filler")
    head.size = 1 << 60
    path.write_bytes(gzip.compress(head.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(DataDamagedError, match="a member claims more than there is"):
        read_all(path)


def test_an_archive_of_countless_members_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "many.tar.gz"
    path.write_bytes(gzip.compress(tarfile.TarInfo("a").tobuf() * 1100))
    with pytest.raises(DataUnsafeError, match="over 1000 files"):
        read_all(path)


def test_headers_chained_without_end_do_not_overflow(tmp_path: Path) -> None:
    chained = io.BytesIO()
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 1
    for _ in range(1200):
        chained.write(link.tobuf() + bytes(512))
    path = tmp_path / "deep.tar.gz"
    path.write_bytes(gzip.compress(chained.getvalue()))
    with pytest.raises(DataDamagedError, match=r"deep\.tar\.gz"):
        read_all(path)


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, python_files())

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataUnreadableError, match=r"data_batch_1 cannot be read: Permission denied"):
        read_all(tmp_path)


def test_a_name_that_no_file_can_have_is_a_sentence_too(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(DataError):
            locate(tmp_path / name)


def test_official_files_are_known_by_their_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, python_files())
    assert [each.official for each in read_all(tmp_path)] == [False] * 6
    import hashlib

    from cifar_core.data import sources

    for name, content in python_files().items():
        monkeypatch.setitem(sources.PYTHON, name, hashlib.md5(content).hexdigest())
    assert [each.official for each in read_all(tmp_path)] == [True] * 6
    assert [each.official for each in read_all(archive(tmp_path / "a.tar.gz", python_files()))] == [True] * 6


def test_binary_batches_are_vouched_for_by_their_archive_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    from cifar_core.data import sources

    path = archive(tmp_path / "a.tar.gz", binary_files())
    assert [each.official for each in read_all(path)] == [None] * 6
    monkeypatch.setattr(sources, "BINARY_ARCHIVE_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    assert [each.official for each in read_all(path)] == [True] * 6
    assert [each.official for each in read_all(fill(tmp_path / "folder", binary_files()))] == [None] * 6


def test_the_tiny_batches_of_these_tests_are_as_large_as_the_row_says() -> None:
    assert DATASETS["cifar10"].train_size == 5 * ROWS
