"""Errors in Stripe's own shapes: the body, the status and the headers that go with each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ApiError(Exception):
    """An answer that is an error. `saved`: whether an idempotency key remembers it.

    Stripe saves an answer once the endpoint began to execute; what fails validation, or collides with a request under
    way, leaves the key as it was (docs: "Idempotent requests").
    """

    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    saved: bool = True

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        error.update(self.extra)
        return {"error": error}


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """A 400 found by validation, before anything was executed: never saved with a key."""
    return ApiError(400, "invalid_request_error", message, code, param, saved=False)


def refused(message: str, *, code: str | None = None, param: str | None = None, **extra: Any) -> ApiError:
    """A 400 found while executing: saved with the key like any other answer."""
    return ApiError(400, "invalid_request_error", message, code, param, extra)


def missing(noun: str, id: str, *, param: str, in_path: bool = False) -> ApiError:
    """`resource_missing`: 404 where the object is the resource of the URL, 400 where a parameter names it."""
    message = f"No such {noun}: '{id}'"
    return ApiError(404 if in_path else 400, "invalid_request_error", message, "resource_missing", param)


def key_in_use(key: str) -> ApiError:
    message = (
        f"There is currently another in-progress request using this Idempotent Key ({key}). Please try again later."
    )
    return ApiError(
        409,
        "invalid_request_error",
        message,
        "idempotency_key_in_use",
        headers={"stripe-should-retry": "true"},
        saved=False,
    )


def key_mismatch(key: str, what: str) -> ApiError:
    message = (
        f"Keys for idempotent requests can only be used {what} they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return ApiError(400, "idempotency_error", message, saved=False)


def lock_timeout() -> ApiError:
    message = (
        "This object cannot be accessed right now because another API request or Stripe process is currently "
        "accessing it."
    )
    return ApiError(
        429,
        "invalid_request_error",
        message,
        "lock_timeout",
        headers={"stripe-should-retry": "true"},
        saved=False,
    )


def rate_limited() -> ApiError:
    return ApiError(
        429,
        "invalid_request_error",
        "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits.",
        "rate_limit",
        headers={"stripe-rate-limited-reason": "global-rate"},
        saved=False,
    )


def api_error() -> ApiError:
    return ApiError(500, "api_error", "An unknown error occurred.", headers={"stripe-should-retry": "true"})


def bad_key(key: str) -> ApiError:
    if not key:
        message = "You did not provide an API key. You need to provide your API key in the Authorization header."
    else:
        shown = f"{key[:8]}{'*' * max(3, len(key) - 12)}{key[-4:]}"
        message = f"Invalid API Key provided: {shown}"
    return ApiError(401, "invalid_request_error", message, saved=False)


def forbidden(key: str, permission: str) -> ApiError:
    message = (
        f"The provided key '{key[:8]}***' does not have the required permissions for this endpoint. "
        f"Having the '{permission}' permission would allow this request to continue."
    )
    return ApiError(403, "invalid_request_error", message, saved=False)
