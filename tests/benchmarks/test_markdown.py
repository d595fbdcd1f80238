import pytest

from benchmarks.markdown import BEGIN, END, markdown, write_into


def test_every_row_has_as_many_cells_as_its_head(make_result):
    tables = [block.splitlines() for block in markdown(make_result()).split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for head, *rows in tables:
        assert {row.count("|") for row in rows} == {head.count("|")}


def test_service_times_stand_beside_ours(make_result, make_cell):
    grpc = make_cell(form="gRPC")
    assert "| h2load, gRPC | gateway | 64 | 123 | 1,234 | 5,679 | 1.23 | 12.3 |" in markdown(make_result(cells=(grpc,)))


def test_marks_in_what_a_server_said_do_not_break_the_page(make_result):
    text = markdown(make_result(left_out=("Other: <html>|",)))
    assert "Left out: Other: &lt;html>\\|" in text


def test_only_what_is_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(page, "new")
    write_into(page, "newer")
    assert page.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


@pytest.mark.parametrize("content", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_the_marks_is_left_alone(tmp_path, content):
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(ValueError, match="no place"):
        write_into(page, "new")
    assert page.read_text() == content


def test_the_real_page_has_the_marks():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
