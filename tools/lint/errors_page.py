#!/usr/bin/env python3
"""Write docs/errors.md from the contract."""

import texts

texts.ERRORS_PAGE.parent.mkdir(exist_ok=True)
texts.ERRORS_PAGE.write_text(texts.errors_page())
print(f"docs/errors.md: {len(texts.contract_reasons())} reasons")
