"""Credentials of the tracking server: they come from the environment, and nothing that is printed or kept shows them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

_FAMILIES = ("MLFLOW_", "PG", "AWS_", "AZURE_STORAGE_", "GOOGLE_", "DATABRICKS_")  # its server, database and artifact store
_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC")
_SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|ACCESS_KEY|CREDENTIAL|CONNECTION_STRING", re.IGNORECASE)
_IN_QUERY = re.compile(r"(?i)([?&;](?:\w*password|passwd|pwd|token|secret)=)[^&;\s'\"]*")
_SHORTEST = 4  # a shorter secret would blot out half of every message


def tracking_environment() -> dict[str, str]:
    """What MLflow and its database take from this process' environment, to be handed to another process by memory alone."""
    return {name: value for name, value in os.environ.items() if name.startswith(_FAMILIES) or name in _OTHERS}


def without_secrets(text: str) -> str:
    """A message, an address or a traceback as it may be printed: passwords in addresses and in the environment are ``***``."""
    text = re.sub(r"(://[^:/?#@\s]*):[^\s'\"]*@", r"\1:***@", text)
    text = _IN_QUERY.sub(r"\1***", text)
    for secret in _secrets(os.environ):
        text = text.replace(secret, "***")
    return text


def public_address(uri: str) -> str:
    """A server's address for whoever has the right to log in: without a name and a password."""
    cut = urlsplit(uri)
    return urlunsplit((cut.scheme, cut.netloc.rpartition("@")[2], cut.path.rstrip("/"), "", ""))


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """The longest first: one may be a part of another."""
    found = {value for name, value in environment.items() if name.startswith(_FAMILIES) and _SECRET.search(name)}
    found -= {"true", "false", "True", "False"}  # of switches with such names
    if password := _password(environment.get("MLFLOW_TRACKING_URI", "")):
        found |= {password, unquote(password)}
    return sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)


def _password(uri: str) -> str:
    """As it stands in the address. It may hold a slash, so it ends at the last ``@``."""
    found = re.match(r"[\w+.-]+://[^:/?#@\s]*:(\S*)@", uri)
    return found[1] if found else ""
