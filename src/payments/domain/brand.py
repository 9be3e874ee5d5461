"""How a merchant wants our pages to look: name, logo and colour. Whatever the colour is, what stands on it can be read, and where the focus is can be seen.

Sources: WCAG 2.2, "relative luminance", "contrast ratio", success criteria 1.4.3 and 1.4.11.
"""

import base64
import re
from dataclasses import dataclass

LOGO_BYTES_MAX = 5_000
"""A logo travels in each page, and in the order that sets it: AWS takes 8 KiB of those."""
NAME_CHARACTERS_MAX = 200
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_PAGES = {"light": "#ffffff", "dark": "#14161c"}
"""What is behind it, as checkout.css says."""
_SEEN = 3.0
_STEPS = 20
_MEDIA_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""By how they begin. Drawings with scripts in them are none of them."""


@dataclass(frozen=True, slots=True)
class Brand:
    """Whose page it is."""

    name: str
    colour: str | None = None
    """`#rrggbb`."""
    logo: bytes | None = None

    @property
    def logo_address(self) -> str:
        """Return the logo as an address that has it in it; empty where there is none."""
        media_type = None if self.logo is None else media_type_of(self.logo)
        if media_type is None or self.logo is None:
            return ""
        return f"data:{media_type};base64,{base64.b64encode(self.logo).decode()}"

    @property
    def style(self) -> str:
        """Return what the colour changes of a page's style; empty where there is none."""
        if self.colour is None or not _COLOUR.fullmatch(self.colour):
            return ""
        colour, text = self.colour, max(("#ffffff", "#000000"), key=lambda each: contrast(each, str(self.colour)))
        over = mixed(colour, "#000000" if text == "#ffffff" else "#ffffff", 0.12)
        own = f"--accent:{colour};--accent-text:{text};--accent-over:{over}"
        light, dark = (f"--focus:{seen_on(colour, page)}" for page in _PAGES.values())
        return f":root{{{own};{light}}}@media (prefers-color-scheme:dark){{:root{{{own};{dark}}}}}"


def media_type_of(logo: bytes) -> str | None:
    """Return what kind of picture it is, if it is one that is shown."""
    return next((kind for start, kind in _MEDIA_TYPES.items() if logo.startswith(start)), None)


def check_colour(colour: str) -> str:
    """Return a colour as it is kept; raises `ValueError`."""
    known = colour.strip().lower()
    if not _COLOUR.fullmatch(known):
        raise ValueError(f"{colour!r} is no colour: say it as #rrggbb")
    return known


def check_logo(logo: bytes) -> bytes:
    """Return a logo as it is kept; raises `ValueError`."""
    if media_type_of(logo) is None:
        raise ValueError("a logo is a PNG or JPEG file")
    if len(logo) > LOGO_BYTES_MAX:
        raise ValueError(f"a logo has at most {LOGO_BYTES_MAX} bytes")
    return logo


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def check_name(name: str) -> str:
    """Return a name as it is kept; raises `ValueError`."""
    known = " ".join(name.split())
    if not 0 < len(known) <= NAME_CHARACTERS_MAX or not known.isprintable():
        raise ValueError(f"a name has 1 to {NAME_CHARACTERS_MAX} characters that can be printed")
    return known


def mixed(colour: str, other: str, share: float) -> str:
    """Return a colour with a share of another one in it."""
    parts = (round(a + (b - a) * share) for a, b in zip(_parts(colour), _parts(other), strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


def seen_on(colour: str, page: str) -> str:
    """Return the colour, with as much of black or white in it as makes it stand out from the page."""
    away = max(("#ffffff", "#000000"), key=lambda each: contrast(each, page))
    shades = (mixed(colour, away, step / _STEPS) for step in range(_STEPS + 1))
    return next(shade for shade in shades if contrast(shade, page) >= _SEEN)


def _parts(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _luminance(colour: str) -> float:
    red, green, blue = (part / 255 for part in _parts(colour))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue))
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
