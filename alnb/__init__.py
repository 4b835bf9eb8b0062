"""Label chest CT by region with clicks while a network learns which region to ask about next.

The rooms, in the order of the method: `volumes`, `phantom`, `dataset`, `regions`, `posterior`,
`acquisition`, `annotation`, `oracle`, `cost`, `metrics`, `agreement`, `reports`, `forecast`,
`journal`, `training`, `state`, `session`, `merge`, `pool`, `cycle`.
`sessions`, `worker`, `serve`, `curves`, `export`, `experiments`, `cli` and `ui` put them to use.
`config` has every setting, `arrays` the conventions of arrays, `errors` the errors and the log,
`storage` what lies on disk.

A simulated run, from a dataset's folder to its learning curve::

    from pathlib import Path
    from alnb import Config, Dataset
    from alnb.experiments.run import simulate

    dataset, config = Dataset.open(Path("DATA")), Config(heuristic="entropy")
    for report in simulate(dataset, Path("RUN"), config, cycles=10):
        print(report.cost.nominal_s, report.scores.dice)

Each name is imported when it is first used. So ``import alnb`` takes no time, and loads neither
torch nor pandas.
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
