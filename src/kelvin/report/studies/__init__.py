"""The kinds of study, one file each: every file beside this one is imported, and enters its kind."""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
