"""Serializer fields with strict JSON types: a number is not accepted as text, nor "yes" as true."""

from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be text.")
        return super().to_internal_value(data)


class Pattern(Text, serializers.RegexField):
    pass


class Identifier(Text):
    """An identifier of the platform: 1 to 64 characters, none of them a control character. Stored unchanged."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if any(ord(letter) < 32 for letter in text):
            raise serializers.ValidationError("This must have no control characters.")
        return text


class Boolean(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("This must be true or false.")
        return data


class Integer(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("This must be a whole number.")
        return data


class NullableText(serializers.CharField):
    """Read-only text; null while it is not known."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        return str(value) if value else None


class Body(serializers.Serializer):
    """An object that refuses unknown fields, so that a misspelled one is not ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := data.keys() - self.fields.keys()):
            raise serializers.ValidationError({str(name): "Unknown field." for name in sorted(unknown)})
        return super().to_internal_value(data)
