"""Every row of the five vendor documents: through which operation it is served, and what shows that it is.

    rows.py        a document as sections (its endpoints) and rows (its parameters, headers, limits, errors)
    <vendor>.py    the rows
    evidence.py    finds, in the adapters' cases, those that show a row
    written.py     docs/coverage.md, made of it

`python -m tests.coverage` writes the file; `tests/test_coverage.py` holds it true: nothing without evidence or a
reason, no test or operation that is not there. A row that nothing can show says why (`Because`).
"""
