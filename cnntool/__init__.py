"""Filter images and look inside convolutional networks.

What is asked for is imported then; importing the package itself loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnntool.version import __version__ as __version__
else:
    _MODULES = {
        "__version__": "version",
    }
    """Every public name, and the module that it is in."""

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'cnntool' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"cnntool.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
