"""Label chest CT by region with clicks while a network learns which region to ask about next.

The modules, in the order of the method: `volumes`, `phantom`, `dataset`, `regions`,
`posterior`, `acquisition`, `annotation`, `oracle`, `cost`, `metrics`, `reports`, `journal`,
`training`, `session`, `cycle`; `bench`, `worker`, `serve`, `cli` and `ui` put them to use.
"""

__version__ = "0.1.0"
