"""JSON's own types, strictly: a number is no text, "yes" is no truth, and what is absent is null."""

from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be a text.")
        return super().to_internal_value(data)


class Pattern(Text, serializers.RegexField):
    pass


class Identifier(Text):
    """One of the platform's names: 1 to 64 printable characters, kept as they are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if any(ord(letter) < 32 for letter in text):
            raise serializers.ValidationError("This must be 1 to 64 printable characters.")
        return text


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("This must be true or false.")
        return data


class Whole(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("This must be a whole number.")
        return data


class Told(serializers.CharField):
    """A text that may not be known yet: null then."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        return str(value) if value else None


class Body(serializers.Serializer):
    """An object whose every field is known: a misspelled one is told, not dropped."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (strange := data.keys() - self.fields.keys()):
            raise serializers.ValidationError({str(name): "There is no such field." for name in sorted(strange)})
        return super().to_internal_value(data)
