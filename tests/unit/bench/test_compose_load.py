"""How other people's compose files are given what they need before they are judged."""

from __future__ import annotations

from pathlib import Path

from bench.compose import silent_keys
from bench.compose_load import best, outcome

WEB = "services:\n  web:\n    image: web:1\n"


def tried(folder: Path, text: str, name: str = "docker-compose.yml") -> tuple[str, ...]:
    """What is wrong with a file of the folder in the circumstances that suit it best."""
    path = folder / name
    path.write_text(text)
    return tuple(problem.summary for problem in best(text.encode(), path).found.problems)


def test_each_variable_that_names_a_port_gets_one_of_its_own(tmp_path: Path) -> None:
    ports = "    ports:\n      - ${HTTP_PORT}:80\n      - ${HTTPS_PORT}:443\n"
    assert tried(tmp_path, WEB + ports) == ()


def test_a_variable_of_which_the_name_says_nothing_gets_a_value_that_fits(tmp_path: Path) -> None:
    assert (
        tried(tmp_path, WEB + "    restart: ${RESTART_POLICY}\n    volumes: ['${CONFIG}/web:/config']\n")
        == ()
    )


def test_missing_files_count_as_empty_ones(tmp_path: Path) -> None:
    assert tried(tmp_path, WEB + "    env_file: .env.production\n") == ()


def test_a_file_that_changes_others_is_taken_over_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text(WEB + "    user: ${USER_ID:?not set}\n")
    assert tried(tmp_path, "services:\n  web:\n    tty: true\n", "docker-compose.dev.yml") == ()
    (tmp_path / "docker-compose.yml").unlink()
    assert tried(tmp_path, "services:\n  web:\n    tty: true\n") == ("services.web has no image",)


def test_profiles_need_not_fit_together(tmp_path: Path) -> None:
    small = WEB + "    ports: ['80:80']\n    profiles: [small]\n"
    large = small + "  large:\n    image: web:1\n    ports: ['80:80']\n    profiles: [large]\n"
    assert tried(tmp_path, large) == ()
    assert tried(tmp_path, large.replace("profiles: [large]", "profiles: [small]")) != ()


def test_a_file_with_tags_and_a_merge_of_nothing_is_searched_for_dropped_keys(tmp_path: Path) -> None:
    text = (
        "x-none: &none\n"
        + WEB
        + "    environment:\n      <<: *none\n      A: b\n    ports: !override ['22:22']\n"
    )
    given, found = best(text.encode(), tmp_path / "docker-compose.yml")
    assert found.stacks
    assert outcome(text.encode(), given) == found
    assert tuple(silent_keys(text.encode(), given)) == ()
