"""One event a line on stdout, as key=value."""

import json
import logging
from datetime import UTC, datetime


class Logfmt(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        event = json.dumps(text, ensure_ascii=False)
        return f"at={at} level={record.levelname.lower()} logger={record.name} event={event}"
