import pytest

from merchants.tax_codes import InvalidTaxCode, check, check_personal_id, normalise

TRUE_CODES = [
    "0100109106",
    "0300588569",
    "0317493763",
    "0106869738",
    "0309478306",
    "0101243150",
    "0101360697",
    "0200638946",
    "0105987432",
    "0104128565",
    "0316794479",
]


@pytest.mark.parametrize("code", TRUE_CODES)
def test_codes_of_real_enterprises_pass(code):
    assert check(code) == code
    assert check(f"{code}-001") == check(f"{code}001") == f"{code}-001"


@pytest.mark.parametrize("code", TRUE_CODES)
@pytest.mark.parametrize("position", range(10))
def test_one_wrong_digit_is_detected(code, position):
    wrong = code[:position] + str((int(code[position]) + 1) % 10) + code[position + 1 :]
    with pytest.raises(InvalidTaxCode):
        check(wrong)


def test_a_branch_code_has_the_shape_10_3():
    assert check("0100109106-505") == check("0100109106505") == "0100109106-505"


@pytest.mark.parametrize(
    "typed",
    [
        "0100109106",
        " 01 00 109 106 ",
        "01.00109.106",
        "0100109106\u00a0",
        "\u200b0100109106",
        "01-00109106",
        "０１００１０９１０６",
    ],
)
def test_spaces_dots_hyphens_and_wide_digits_do_not_matter(typed):
    assert check(typed) == "0100109106"


@pytest.mark.parametrize("hyphen", "-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d")
def test_every_kind_of_hyphen_is_a_hyphen(hyphen):
    assert normalise(f"0100109106 {hyphen} 505") == "0100109106-505"


def test_normalising_twice_changes_nothing():
    for typed in ("0100109106505", "0100109106-505", "0100109106-50", "026093012010", "", "abc"):
        assert normalise(normalise(typed)) == normalise(typed)


@pytest.mark.parametrize("code", ["026093012010", "001204000001", "0260 9301 2010"])
def test_the_twelve_digits_of_a_personal_number_pass(code):
    assert check(code) == check_personal_id(code) == code.replace(" ", "")


def test_a_branch_code_with_a_missing_digit_is_not_a_personal_number():
    for typed in ("0100109106-50", "0100109106–50"):
        with pytest.raises(InvalidTaxCode):
            check(typed)


@pytest.mark.parametrize("code", ["0" * 12, "1" * 12])
def test_a_personal_number_of_one_digit_repeated_is_refused(code):
    for gate in (check, check_personal_id):
        with pytest.raises(InvalidTaxCode):
            gate(code)


@pytest.mark.parametrize(
    "typed",
    [
        *("", "-", "abc", "010010910", "01001091065", "0100109106-000", "0000000000", "0100000000"),
        *("0100109106-5055", "01001O9106", "٠١٠٠١٠٩١٠٦", "9" * 14),
    ],
)
def test_an_impossible_code_is_refused_and_not_quoted(typed):
    with pytest.raises(InvalidTaxCode) as refused:
        check(typed)
    assert str(refused.value).endswith(".")
    assert len(typed) < 5 or typed not in str(refused.value)


def test_the_message_distinguishes_a_wrong_digit_from_a_wrong_length():
    for typed, part in (("0100109107", "tenth digit"), ("0100109160", "tenth digit"), ("010010910", "10 digits")):
        with pytest.raises(InvalidTaxCode, match=part):
            check(typed)


@pytest.mark.parametrize("typed", ["0100109106", "02609301201", "0260930120100", "02609301201x"])
def test_a_personal_number_has_twelve_digits_and_nothing_else(typed):
    with pytest.raises(InvalidTaxCode):
        check_personal_id(typed)
