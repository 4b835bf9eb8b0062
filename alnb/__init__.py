"""Label chest CT by region with clicks while a network learns which region to ask about next.

The modules, in the order of the method: `volumes`, `dicom`, `phantom`, `dataset`, `regions`,
`outlines`, `posterior`, `plugins`, `acquisition`, `annotation`, `oracle`, `consistency`, `cost`,
`metrics`, `reports`, `advice`, `journal`, `training`, `state`, `session`, `pool`, `cycle`;
`known`, `worker`, `serve`, `bench`, `cli` and `ui` put them to use.

Names are imported when they are first used, so that ``import alnb`` takes no time and brings
neither torch nor pandas.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "annotation": ["Answer", "Click", "Verdict", "point_labels"],
        "config": ["PAPER", "Config"],
        "cost": ["Cost", "cost_of"],
        "dataset": ["Dataset", "SliceId"],
        "errors": ["AlnbError"],
        "metrics": ["Scores"],
        "oracle": ["Oracle"],
        "phantom": ["phantom"],
        "posterior": ["Posterior"],
        "regions": ["Region", "grid"],
        "session": ["Session"],
        "training.dropout": ["mc_dropout"],
        "training.fcn8": ["FCN8"],
    },
)
