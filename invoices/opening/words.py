"""Amounts in Vietnamese words, which the law requires below the total (at most 255 characters)."""

DIGITS = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")


def in_words(amount: int) -> str:
    """The amount as accountants write it: 1005 is "Một nghìn không trăm linh năm đồng".

    Empty hundreds, and empty groups before a later digit, are read out, so that nothing can be inserted.
    Raises TypeError for anything but an int.
    """
    if type(amount) is not int:
        raise TypeError("an amount in đồng is an int")
    words = ["âm"] * (amount < 0) + (_read(abs(amount)) or [DIGITS[0]]) + ["đồng"]
    return " ".join(words).capitalize()


def _read(number: int, inside: bool = False) -> list[str]:
    """`inside`: words come before, so leading zeros are read too. Zero itself gives no words."""
    billions, rest = divmod(number, 10**9)
    words = [*_read(billions, inside), "tỷ"] if billions else []
    for scale, unit in ((10**6, ["triệu"]), (10**3, ["nghìn"]), (1, [])):
        group = rest // scale % 1000
        if group:
            words += _read_three(group, inside or bool(words)) + unit
        elif (inside or words) and rest % scale:
            words += [DIGITS[0], *unit]
    return words


def _read_three(number: int, inside: bool) -> list[str]:
    hundreds, tens, units = number // 100, number // 10 % 10, number % 10
    words = [DIGITS[hundreds], "trăm"] if hundreds or inside else []
    if tens:
        words += ["mười"] if tens == 1 else [DIGITS[tens], "mươi"]
    elif units and words:
        words.append("linh")
    if units == 5 and tens:
        return [*words, "lăm"]
    if units in (1, 4) and tens > 1:
        return [*words, "mốt" if units == 1 else "tư"]
    return [*words, DIGITS[units]] if units else words
