"""--api-auth: HTTP Basic without a challenge, on most routes but not on all."""

from __future__ import annotations

import base64
import binascii
import secrets

from .failures import http_error


def check(accounts: str | None, header: str | None) -> None:
    """Let the request pass or raise the server's 401. `accounts`: `user:password[,user2:password2]`, None for
    no login."""
    if not accounts:
        return
    kind, _, coded = (header or "").partition(" ")
    if not header or kind.lower() != "basic":
        raise http_error(401, "Not authenticated")
    try:
        user, colon, password = base64.b64decode(coded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, colon, password = "", "", ""
    if not colon:
        raise http_error(401, "Invalid authentication credentials")
    known = dict(account.split(":", 1) for account in accounts.split(",") if ":" in account)
    if user not in known or not secrets.compare_digest(known[user].encode(), password.encode()):
        raise http_error(401, "Incorrect username or password")
