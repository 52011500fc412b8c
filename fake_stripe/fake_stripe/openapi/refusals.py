"""Stripe's words for parameters that it refuses, all 400 invalid_request_error (facts 7.1, 7.2, 7.5)."""

from collections.abc import Sequence

from fake_stripe.errors import ApiError, invalid


def unknown(names: Sequence[str]) -> ApiError:
    """`parameter_unknown`, all of them in one message; `param` is the first."""
    what = "Received unknown parameter" + ("s" if len(names) > 1 else "")
    return invalid(f"{what}: {', '.join(names)}", code="parameter_unknown", param=names[0])


def missing(name: str) -> ApiError:
    """`parameter_missing`."""
    return invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)


def empty(name: str) -> ApiError:
    """`parameter_invalid_empty`: an empty string asks to unset, and this one cannot be unset."""
    return invalid(
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however"
        f" '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=name,
    )


def integer(name: str, value: str) -> ApiError:
    """`parameter_invalid_integer`: not an integer at all."""
    return invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)


def too_small(name: str, least: int) -> ApiError:
    """`parameter_invalid_integer`: below the least value."""
    message = f"This value must be greater than or equal to {least}."
    return invalid(message, code="parameter_invalid_integer", param=name)


def too_large(name: str, most: int, value: int) -> ApiError:
    """`parameter_invalid_integer`: above the greatest value."""
    message = f"This value must be less than or equal to {most} (it currently is '{value}')."
    return invalid(message, code="parameter_invalid_integer", param=name)


def malformed(kind: str, name: str, value: str | None = None) -> ApiError:
    """Not a boolean, number, decimal, string; an object or array is refused without showing the value."""
    return invalid(f"Invalid {kind}" if value is None else f"Invalid {kind}: {value}", param=name)


def not_one_of(name: str, allowed: Sequence[str]) -> ApiError:
    """A value outside its enum; no code."""
    return invalid(f"Invalid {name}: must be one of {listed(allowed)}", param=name)


def listed(words: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b, or c`."""
    if len(words) < 3:
        return " or ".join(words)
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def too_long(name: str, value: str, most: int) -> ApiError:
    """A string beyond its length; only its ends are shown."""
    return invalid(f"Invalid string: {value[:4]}...{value[-4:]}; must be at most {most} characters", param=name)


def currency(name: str, value: str, known: str) -> ApiError:
    """A currency that Stripe does not support; `known` lists those that it does."""
    return invalid(f"Invalid currency: {value}. Stripe currently supports these currencies: {known}", param=name)


def email(name: str, value: str) -> ApiError:
    """`email_invalid`."""
    return invalid(f"Invalid email address: {value}", code="email_invalid", param=name)


def url(name: str) -> ApiError:
    """`url_invalid`: no scheme."""
    text = "Invalid URL: An explicit scheme (such as https) must be provided."
    return invalid(text, code="url_invalid", param=name)


def metadata_key(key: str, most: int) -> ApiError:
    """A metadata key that is too long."""
    return invalid(
        f"Metadata keys can have up to {most} characters, but you passed in a key that is {len(key)} characters."
        f" Invalid key: {key}",
        param="metadata",
    )


def metadata_value(value: str, most: int) -> ApiError:
    """A metadata value that is too long."""
    return invalid(
        f"Metadata values can have up to {most} characters, but you passed in a value that is {len(value)} characters."
        f" Invalid value: {value}",
        param="metadata",
    )


def metadata_keys(count: int, most: int) -> ApiError:
    """More metadata keys than Stripe keeps."""
    return invalid(f"Metadata can have up to {most} keys, but you've set {count}.", param="metadata")
