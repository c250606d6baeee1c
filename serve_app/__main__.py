"""``python -m serve_app`` is the command ``ocr-serve``."""

import sys

from serve_app.command.cli import main

sys.exit(main())
