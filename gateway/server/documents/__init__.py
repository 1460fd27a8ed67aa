"""What the gateway says of itself: the OpenAPI document, the same for people, and the catalogue of problems.

openapi.py    the document, from endpoints (endpoints/), schemas.py, parameters.py, headers.py, examples.py
pages.py      `/docs` and `/problems/{slug}` from it: html.py, members.py, style.py
catalogue.py  what each problem means;  overview.py  how both begin
"""
