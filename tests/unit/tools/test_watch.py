"""Skips are listed with their reasons, and in strict mode one that nobody expects fails the run."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).resolve().parents[2] / "conftest.py"

SUITES = {
    "tests/unit/test_one": """
        import pytest

        def test_runs():
            pass

        @pytest.mark.skipif(True, reason="no such machine here")
        def test_needs_a_machine():
            pass
        """,
    "tests/suites/test_two": "def test_runs(): pass",
}


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    tests = pytester.mkdir("tests")
    (tests / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    for name, text in SUITES.items():
        (pytester.path / name).parent.mkdir(exist_ok=True)
        pytester.makepyfile(**{name: text})
    return pytester


def expect(project: pytest.Pytester, text: str) -> None:
    (project.path / "tests" / "expected_skips.toml").write_text(text)


def test_suites_and_skips_are_told(project: pytest.Pytester) -> None:
    expect(project, "")
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "tests")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_one.py::test_needs_a_machine: no such machine here"])
    result.stdout.re_match_lines(
        [r"suites +1 +[0-9.]+ +600 +0 +0", r"unit +2 +[0-9.]+ +1000 +1 +0", r"all +3 +[0-9.]+"]
    )


def test_an_unexpected_skip_fails_a_strict_run(project: pytest.Pytester) -> None:
    expect(project, "")
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--strict-skips", "tests")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["NOT EXPECTED*test_needs_a_machine*"])


def test_an_expected_skip_does_not(project: pytest.Pytester) -> None:
    expect(project, '[[skip]]\ntest = "tests/unit/*"\nreason = "no such machine*"\nbecause = "that is so"\n')
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--strict-skips", "tests")
    assert result.ret == 0


def test_the_reason_must_fit_too(project: pytest.Pytester) -> None:
    expect(project, '[[skip]]\ntest = "*"\nreason = "another reason"\nbecause = "that is so"\n')
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--strict-skips", "tests")
    assert result.ret == 1


def test_a_run_that_is_terminated_ends_its_fixtures(project: pytest.Pytester) -> None:
    project.makepyfile(
        **{
            "tests/unit/test_one": """
            import signal
            from pathlib import Path

            import pytest

            @pytest.fixture
            def server():
                yield
                Path("ended").touch()

            def test_is_terminated(server):
                signal.raise_signal(signal.SIGTERM)
            """
        }
    )
    assert project.runpytest_inprocess("tests/unit", no_reraise_ctrlc=True).ret == pytest.ExitCode.INTERRUPTED
    assert (project.path / "ended").exists()
