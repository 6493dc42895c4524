"""An OpenID Connect provider that lets everybody in as Ada."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "transfer-lab", "only this test knows it"
ADA = {"sub": "1", "email": "ada@example.org", "name": "Ada"}


class Provider:
    """Answers the four requests of OpenID Connect's authorization code flow (OpenID Connect Core 1.0, 3.1)."""

    def __init__(self, url: str):
        self._url, self._key = url, RSAKey.generate_key(2048, parameters={"kid": "1", "alg": "RS256"})
        self._nonces: dict[str, str] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    def _configuration(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self._url,
                "authorization_endpoint": f"{self._url}/authorize",
                "token_endpoint": f"{self._url}/token",
                "jwks_uri": f"{self._url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        assert asked["client_id"] == CLIENT
        code = f"code-{len(self._nonces)}"
        self._nonces[code] = asked.get("nonce", "")
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}")

    async def _token(self, request: Request) -> Response:
        async with request.form() as form:
            nonce = self._nonces.pop(str(form["code"]))
        claims: dict[str, Any] = {
            **ADA,
            "iss": self._url,
            "aud": CLIENT,
            "nonce": nonce,
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
        }
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self._key)
        return JSONResponse({"access_token": "unused", "token_type": "Bearer", "expires_in": 600, "id_token": token})


@contextmanager
def provider(port: int) -> Iterator[str]:
    """Serve a provider on a port of this computer, and give its address."""
    url = f"http://127.0.0.1:{port}"
    server = uvicorn.Server(uvicorn.Config(Provider(url).app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the provider has not started"
            time.sleep(0.02)
        yield url
    finally:
        server.should_exit = True
        thread.join()
