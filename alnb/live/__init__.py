"""The live layer: a Bayesian last layer that learns from each answer at once, without torch.

The training process publishes each slice as a grid of cells (`training.features`). Of a cell with
features x and the network's logit o, the log odds of infection are ``o + w·x``. The weights w have
the prior N(0, 1/`PRECISION`), so that without answers the network's prediction stands. Newton's
method finds the most probable w, and Laplace's approximation its covariance (MacKay 1992).

What an answer may do, as eq. 1 says it for the network:

- A click counts as `INFECTED_WORTH` of an observation of infection, or one of background, with the
  features between the cells where it fell.
- While a region is being answered, its clicks count as `MARKED` observations: what is shown then is
  that region, and a person who corrects it must see it follow. Once it is an answer they count as
  above, since much of what is right in one region is wrong in others.
- A clean region counts as one observation of background, shared among its cells.
- The other cells of an infected region count as one observation that they are what the network
  believes (`HOLD`): one click says nothing of the extent, and without this the layer falls below
  the network that it starts from. A network that has learned nothing believes nothing.
- An outlined region counts as one observation, shared among its cells, each infected by its share.
- A skip counts for nothing.

The constant among the weights says how much infection there is. Answers say little of that: what
is asked depends on what is uncertain, and one click stands for an area that nobody marked. In
studies that choose cases and controls it is likewise the constant that is wrong, and the other
weights are right (Prentice and Pyke 1979). So with a network that has learned, the constant is
fitted, but only a share of it is believed: n / (n + `CAUTION`), where n counts the answers of the
rarer verdict. When all of it was believed, the layer could fall 0.1 below the network's Dice within
five answers.

References
----------
MacKay 1992, The evidence framework applied to classification networks, Neural Computation 4(5);
Kristiadi, Hein, Hennig 2020, Being Bayesian, even just a bit, fixes overconfidence, ICML;
Prentice, Pyke 1979, Logistic disease incidence models and case-control studies, Biometrika 66(3).
"""

from alnb.live.cells import NUMBERS, QUARTERS, STRIDE
from alnb.live.layer import EXACT, Basis, Live, content_of
from alnb.live.logistic import sigmoid

__all__ = ["EXACT", "NUMBERS", "QUARTERS", "STRIDE", "Basis", "Live", "content_of", "sigmoid"]
