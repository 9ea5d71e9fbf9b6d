from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ProfileError, WorkspaceError
from orchestrator.profile.load import line_of, load_profile, parse_profile
from orchestrator.profile.model import Profile
from orchestrator.profile.shipped import find_profile, make_workspace, schema, shipped_profiles


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_loads(name: str) -> None:
    profile = load_profile(find_profile(name))
    assert profile.grids
    assert profile.evaluation.rounds


def test_the_article_has_the_article_s_numbers() -> None:
    profile = load_profile(find_profile("article-sd15"))
    assert profile.trigger == "ai_model_v4"
    assert [profile.fill(g.caption) for g in profile.dataset.groups] == [
        "ai_model_v4, close-up", "ai_model_v4, upper body", "ai_model_v4, full body",
    ]  # fmt: skip
    assert (profile.training.epochs, profile.training.save_every) == (80, 10)
    assert {grid.seeds for grid in profile.grids} == {(123456789, 123123123)}
    assert {grid.weights for grid in profile.grids} == {(0.2, 0.4, 0.6, 0.8, 1.0)}
    assert [r.expects for r in profile.evaluation.rounds] == ["hand raised", "arms crossed", "hand on hip"]
    g = profile.generation
    assert (g.sampler, g.scheduler, g.steps, g.cfg_scale, g.width, g.height) == (
        "DPM++ 2M",
        "Karras",
        28,
        6.0,
        512,
        512,
    )


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "lora.toml")
    return caught.value.problems


def test_all_problems_at_once_with_their_lines() -> None:
    found = problems(
        '[training]\nepoch = 10\ndim = "abc"\n\n[[pictures]]\nname = "a"\nprompt = "p"\ncoutn = 3\n[subjekt]\n'
    )
    assert "line 2: training.epoch: there is no such key; did you mean 'epochs'?" in found
    assert any(p.startswith("line 3: training.dim: ") and "'abc'" in p for p in found)
    assert "line 8: pictures.a.coutn: there is no such key; did you mean 'count'?" in found
    assert "line 9: subjekt: there is no such key; did you mean 'subject'?" in found


def test_a_syntax_error_shows_its_line_and_windows_paths_get_a_hint() -> None:
    (found,) = problems('[base]\npath = "C:\\Users\\me\\model.safetensors"\n')
    assert "line 2" in found
    assert "single quotes" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[pictures]]\nname="a"\nprompt="p"\ncount=1\nsource="b"\n', "no picture set 'b' stands above it"),
        ('[[pictures]]\nname="a"\nprompt="p"\ncount=1\n[[pictures]]\nname="A"\nprompt="p"\ncount=1\n', "stands twice"),
        ('[[dataset.groups]]\nname="g"\nsets=["x"]\n', "there is no picture set 'x'"),
        ('[[pictures]]\nname="a"\nprompt="p"\n', "give a count"),
        ('[[pictures]]\nname="a"\nstraighten=true\n', "straighten needs a source"),
        ('[[grids]]\nname="g"\nprompt="p"\nseeds=[1,1]\n', "stands here twice"),
        ('[[grids]]\nname="g"\nprompt="p"\nexclude=[{}]\n', "give epoch_up_to"),
        ("[verdict]\nidentity=0\nobedience=0\nupright=0\n", "nothing would be weighed"),
        ("[generation]\nwidth=513\n", "multiple of 8"),
        ('[subject]\nname="a:b"\n', "pattern"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_before_the_card_is_touched(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize("other", ["a:b", "A?b", "a-B."])
@pytest.mark.parametrize(
    ("table", "rest"),
    [("pictures", 'prompt="p"\ncount=1'), ("grids", 'prompt="p"'), ("dataset.groups", 'folders=["f"]')],
)
def test_names_that_would_share_a_folder_are_refused(table: str, rest: str, other: str) -> None:
    text = "".join(f'[[{table}]]\nname="{name}"\n{rest}\n' for name in ("a/b", "c", other))
    (found,) = problems(text)
    assert f"{table}: the names 'a/b' and '{other}' give the same folder" in found


def test_a_byte_order_mark_does_not_hide_the_first_key(ugly_path: Path) -> None:
    path = ugly_path / "lora.toml"
    path.write_bytes(b'\xef\xbb\xbf[subject]\nname = "miku"\n')
    assert load_profile(path).subject.name == "miku"


def test_a_file_that_is_not_utf8_says_so(ugly_path: Path) -> None:
    path = ugly_path / "lora.toml"
    path.write_bytes('[subject]\nname = "初音"\n'.encode("cp932"))
    with pytest.raises(ProfileError, match="UTF-8"):
        load_profile(path)


def test_no_file_says_how_to_make_one(ugly_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="orchestrator init"):
        load_profile(ugly_path / "lora.toml")


def test_a_workspace_keeps_the_comments_and_takes_the_name(ugly_path: Path) -> None:
    workspace = make_workspace(ugly_path / "ws", find_profile("article-sd15"), subject="初音ミク")
    text = workspace.profile.read_text(encoding="utf-8")
    assert "# A character LoRA for SD1.5" in text
    assert load_profile(workspace.profile).run_name == "初音ミク_v4"
    assert text.startswith("#:schema .orchestrator/lora.schema.json\n")
    assert (ugly_path / "ws" / ".orchestrator" / "lora.schema.json").is_file()
    with pytest.raises(WorkspaceError, match="already"):
        make_workspace(ugly_path / "ws", find_profile("article-sd15"))


def test_the_schema_knows_every_part() -> None:
    assert set(schema()["properties"]) == set(Profile.model_fields)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=30),
    st.integers(0, 2**63 - 1),
    st.floats(0.1, 2.0),
)
def test_what_tomli_w_writes_is_what_we_read(prompt: str, seed: int, weight: float) -> None:
    grid = {"name": "g", "prompt": prompt, "seeds": [seed], "weights": [weight]}
    (read,) = parse_profile(tomli_w.dumps({"grids": [grid]}), "x").grids
    assert (read.prompt, read.seeds, read.weights) == (prompt, (seed,), (weight,))


def test_lines_are_found_inside_repeated_tables() -> None:
    text = "[[a]]\nx = 1\n[[a.b]]\ny = 1\n[[a]]\nx = 2\n[[a.b]]\n# c\ny = 2\n"
    assert line_of(text, ("a", 0, "x")) == 2
    assert line_of(text, ("a", 1, "x")) == 6
    assert line_of(text, ("a", 1, "b", 0, "y")) == 9
    assert line_of(text, ("nowhere",)) is None


def test_other_braces_stay() -> None:
    assert Profile().fill("{trigger}, {a|b}, {") == "ai_model_v1, {a|b}, {"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("axes = { steps = true }", "grids.a.axes.steps: write a list of texts or numbers"),
        ('axes = "steps"', "grids.a.axes: write them as"),
        ('axes = [{ kind = "steps", values = "1-3", nam = "x" }]', "grids.a.axes.#1.nam: there is no such key"),
        ("exclude = [{ epoch_upto = 3 }]", "grids.a.exclude.#1.epoch_upto: there is no such key; did you mean"),
        ("exclude = [3]", "grids.a.exclude.#1: write a rule"),
    ],
)  # fmt: skip
def test_a_grid_s_mistakes_are_told_once_and_in_the_form_they_were_written(written: str, problem: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(f'[[grids]]\nname = "a"\nprompt = "b"\n{written}\n', "lora.toml")
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
