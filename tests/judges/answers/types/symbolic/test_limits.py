"""What is too large is seen before anything is computed."""

import pytest

from plaudit.judges.answers.types.symbolic.limits import too_large


@pytest.mark.parametrize(
    "text",
    [
        *("10^{10^{10}}", "9^9^9", "9**9**9", "9^{9^9}", "10^(10^10)", "2^{99999}", "2^{9!}"),
        *("9^{2^{3^4}}", "9^{12^3}", "x^{100,000}", "2^-99999", "99!!!", "(9!)!", "12345!"),
        *("x^{x^{x^{x^{x}}}}", "{" * 31, "1" * 61, "1 " * 301, "x" * 1_001, "\0", "a\udc00"),
    ],
)
def test_what_is_too_large_has_a_reason(text: str) -> None:
    assert too_large(text)


@pytest.mark.parametrize(
    "text",
    [
        *("x^{2}y^{3}", "y^3x^2", "2^{3^2}", "e^{x^2}", "e^{-x^2}", "10^{10}", "x^{x^{x}}", "5!"),
        *("2^{n+1}", "100!", "2^{2^n}", "(x+1)^2(x-1)^2", "1,000,000", "a_{n+1}^{2}", "e^{2x}^2"),
    ],
)
def test_what_is_in_use_is_not_too_large(text: str) -> None:
    assert too_large(text) is None
