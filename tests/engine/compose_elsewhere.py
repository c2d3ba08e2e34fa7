"""Compose keys that are honoured before or beside the engine, and where that is shown."""

from __future__ import annotations

from collections.abc import Mapping

_LOADER = "tests/unit/compose"
_CONTROLLER = "tests/unit/controller"

#: A key, with all below it, and the test or the folder of tests.
ELSEWHERE: Mapping[str, str] = {
    "version": _LOADER,
    "name": _LOADER,
    "include": f"{_LOADER}/test_include.py",
    "services.*.extends": f"{_LOADER}/test_extends.py",
    "services.*.profiles": f"{_LOADER}/test_extends.py",
    "services.*.build": f"{_LOADER}/test_keys.py",
    "services.*.platform": "tests/engine/test_networks_and_images.py",
    "services.*.pull_policy": "tests/engine/test_networks_and_images.py",
    "services.*.post_start": "tests/engine/test_hooks.py",
    "services.*.pre_stop": "tests/engine/test_hooks.py",
    "services.*.configs": "tests/engine/test_files.py",
    "services.*.secrets": "tests/engine/test_files.py",
    "configs": f"{_LOADER}/test_files.py",
    "secrets": f"{_LOADER}/test_files.py",
    "services.*.restart": "tests/engine/test_docker_runtime.py",
    "services.*.scale": f"{_LOADER}/test_services.py",
    "services.*.depends_on": _CONTROLLER,
    "services.*.mem_reservation": _CONTROLLER,
    "services.*.ports[].name": "tests/unit/controller/decide",
    "services.*.x-bayplan": _CONTROLLER,
    "networks.*.x-bayplan": f"{_LOADER}/test_relations.py",
    "services.*.deploy.mode": _CONTROLLER,
    "services.*.deploy.replicas": _CONTROLLER,
    "services.*.deploy.labels": _CONTROLLER,
    "services.*.deploy.endpoint_mode": _LOADER,
    "services.*.deploy.placement": _CONTROLLER,
    "services.*.deploy.restart_policy": _CONTROLLER,
    "services.*.deploy.update_config": _CONTROLLER,
    "services.*.deploy.rollback_config": _CONTROLLER,
    "services.*.deploy.resources.reservations.cpus": _CONTROLLER,
    "services.*.deploy.resources.reservations.memory": _CONTROLLER,
    "services.*.deploy.resources.reservations.generic_resources": _CONTROLLER,
}
