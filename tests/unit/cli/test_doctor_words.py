"""What `agentrt doctor` prints."""

from agentrt.backends.probe import Check, Report
from agentrt.cli.doctor import report_lines


def test_what_a_server_says_moves_no_cursor() -> None:
    check = Check("model", is_ok=True, detail="m\x1b[2J\n  ok  forged")
    assert report_lines(Report(backend="http://host\x07/v1", checks=(check,))) == [
        r"http://host\x07/v1",
        r"  ok       model  m\x1b[2J ok forged",
        "not usable",
    ]
