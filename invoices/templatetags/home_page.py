"""Links of the home page, only to lists that the reader may open."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_block_tag(takes_context=True)
def linkif(context: Any, content: str, link: str) -> SafeString | str:
    """The content as a link, or as plain text if the reader may not open the list."""
    allowed = {model["admin_url"] for group in context.get("available_apps", ()) for model in group["models"]}
    return format_html('<a href="{}">{}</a>', link, content) if link.partition("?")[0] in allowed else content
