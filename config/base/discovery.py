"""Finds the parts of apps by file name, as Django finds admin.py: metrics.py, timeline.py, search.py, actions.py."""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule


def app_parts(file_name: str, attribute: str) -> list[Any]:
    """`attribute` of each app's module of that name, in the order of INSTALLED_APPS. Apps without it are skipped."""
    return [getattr(module, attribute) for module in _modules(file_name) if hasattr(module, attribute)]


@cache
def _modules(file_name: str) -> list[ModuleType]:
    configs = apps.get_app_configs()
    return [import_module(f"{app.name}.{file_name}") for app in configs if module_has_submodule(app.module, file_name)]
