"""What a person sees: the label app and its parts, served by Voila.

Widgets hold no truth here: they show a state and hand on what the person does.
"""

import sys

# plotly's FigureWidget and Voila bring jsonschema (4.25 and later), whose optional format check
# rfc3987_syntax takes 2 to 7 s to build its grammar; marked as absent, jsonschema skips it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
