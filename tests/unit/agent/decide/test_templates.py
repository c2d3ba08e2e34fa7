"""Placeholders of Swarm files."""

from __future__ import annotations

import pytest

from agent.decide.templates import SpecError
from bayplan.model import Mount, MountKind
from bayplan.placeholders import KNOWN
from tests.unit.agent.decide.world import config


@pytest.mark.parametrize(
    ("written", "put_in"),
    [
        ("{{.Node.Hostname}}", "web-1"),
        ("{{ .Node.ID }}", "n1"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/x86_64"),
        ("{{.Service.Name}}/{{.Service.ID}}", "shop_web/shop_web"),
        ("s{{.Task.Slot}}", "s2"),
        ("{{.Task.Name}}", "shop_web.2.t1"),
        ("{{- .Task.ID -}}", "t1"),
    ],
)
def test_known_placeholders_are_put_in(written: str, put_in: str) -> None:
    mount = Mount(kind=MountKind.VOLUME, target="/d", source=f"v-{written}")
    made = config(hostname=written, environment=(f"X={written}", "Y"), mounts=(mount,))
    assert made["Hostname"] == put_in
    assert made["Env"] == [f"X={put_in}", "Y"]
    assert made["HostConfig"]["Mounts"][0]["Source"] == f"v-{put_in}"


@pytest.mark.parametrize("written", ["{{.Task.Nmae}}", '{{index .Service.Labels "a"}}', "{{.Node}}"])
def test_an_unknown_placeholder_is_refused_with_the_known_ones(written: str) -> None:
    with pytest.raises(SpecError) as refused:
        config(environment=(f"X={written}",))
    assert str(refused.value) == (
        f"unknown placeholder {written}: known are {{{{.Node.Hostname}}}}, {{{{.Node.ID}}}}, "
        "{{.Node.Platform.Architecture}}, {{.Node.Platform.OS}}, "
        "{{.Service.ID}}, {{.Service.Name}}, {{.Task.ID}}, {{.Task.Name}}, {{.Task.Slot}}"
    )


def test_every_known_placeholder_is_put_in() -> None:
    made = config(environment=tuple(f"X={{{{{name}}}}}" for name in KNOWN))["Env"]
    assert len(set(made)) == len(KNOWN) - 1  # a service's id is its name
    assert not any("{" in value for value in made)


def test_a_programs_own_templates_stay_as_they_are() -> None:
    written = "RULE=Host(`{{ normalize .Name }}.{{.Tasks}}`)"
    assert config(environment=(written,))["Env"] == [written]
