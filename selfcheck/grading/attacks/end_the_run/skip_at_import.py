"""Skips while it is imported.

evidence: imports pytest
"""

import pytest

pytest.skip("not today", allow_module_level=True)
