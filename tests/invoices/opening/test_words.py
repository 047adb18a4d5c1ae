import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoices.opening.words import in_words

VALUES = {"không": 0, "một": 1, "mốt": 1, "hai": 2, "ba": 3, "bốn": 4, "tư": 4, "năm": 5, "lăm": 5, "sáu": 6}
VALUES |= {"bảy": 7, "tám": 8, "chín": 9}


def value(text: str) -> int:
    """The amount of the words, read strictly from left to right."""
    *words, currency = text.lower().split()
    assert currency == "đồng"
    sign = -1 if words[0] == "âm" else 1
    whole = billions = group = digit = 0
    for word in words[sign < 0 :]:
        if word in VALUES:
            digit = VALUES[word]
        elif word == "mười":
            group += 10
        elif word != "linh":
            group += digit * {"mươi": 10, "trăm": 100}.get(word, 1)
            digit = 0
            if scale := {"nghìn": 10**3, "triệu": 10**6}.get(word):
                whole, group = whole + group * scale, 0
            elif word == "tỷ":
                billions, whole, group = (billions + whole + group) * 10**9, 0, 0
    return sign * (billions + whole + group + digit)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "Không đồng"),
        (4, "Bốn đồng"),
        (5, "Năm đồng"),
        (10, "Mười đồng"),
        (11, "Mười một đồng"),
        (14, "Mười bốn đồng"),
        (15, "Mười lăm đồng"),
        (20, "Hai mươi đồng"),
        (21, "Hai mươi mốt đồng"),
        (24, "Hai mươi tư đồng"),
        (25, "Hai mươi lăm đồng"),
        (100, "Một trăm đồng"),
        (101, "Một trăm linh một đồng"),
        (105, "Một trăm linh năm đồng"),
        (115, "Một trăm mười lăm đồng"),
        (1_005, "Một nghìn không trăm linh năm đồng"),
        (1_015, "Một nghìn không trăm mười lăm đồng"),
        (10_000, "Mười nghìn đồng"),
        (110_000, "Một trăm mười nghìn đồng"),
        (1_000_000, "Một triệu đồng"),
        (1_000_005, "Một triệu không nghìn không trăm linh năm đồng"),
        (1_250_000, "Một triệu hai trăm năm mươi nghìn đồng"),
        (1_000_000_000, "Một tỷ đồng"),
        (1_000_000_005, "Một tỷ không triệu không nghìn không trăm linh năm đồng"),
        (10**12, "Một nghìn tỷ đồng"),
        (-35_000, "Âm ba mươi lăm nghìn đồng"),
    ],
)
def test_amounts_are_read_as_accountants_write_them(amount, words):
    assert in_words(amount) == words


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.integers(-(10**15), 10**15), st.integers(-(10**4), 10**4)))
def test_the_words_read_back_as_the_same_amount_and_fit_the_field(amount):
    words = in_words(amount)
    assert value(words) == amount
    assert len(words) <= 255
    assert words[0].isupper() and words[1:].islower()
    assert "  " not in words


@settings(deadline=None)
@given(st.integers(0, 999), st.sampled_from([10**3, 10**6, 10**9, 10**12]))
def test_each_group_reads_back_at_each_scale(group, scale):
    assert value(in_words(group * scale)) == group * scale
    assert value(in_words(group * scale + 1)) == group * scale + 1


@pytest.mark.parametrize("odd", [1.0, True, "1", None])
def test_only_an_int_is_an_amount(odd):
    with pytest.raises(TypeError):
        in_words(odd)
