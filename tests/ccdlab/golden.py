"""Measured values of real frames, and where they come from.

Overscan means and scatters, read noise and gains were measured on the raw frames with numpy and
astropy alone. The SBIG numbers are those of the recipe as published with its tables
(github.com/frog9800/astropy). Exact where ten digits are given, else one unit of the last digit.
"""

from __future__ import annotations

OVERSCAN: dict[str, tuple[float, ...]] = {
    "saao/a6381002": (636.7661,), "saao/a6381003": (636.4017,), "saao/a6381008": (636.0112,),
    "saao/a6381016": (635.4130,), "saao/a6381060": (638.1452,), "saao/a6381061": (637.7551,),
    "saao/a6381062": (637.6889,), "saao/HILT600_arc": (638.2557,),
    "saao/HILT600_science": (638.7170,), "saao/SN2024xuo_arc": (635.6023,),
    "saao/SN2024xuo_science": (636.1724,),
    "virus/20180522T023753.4_053RL_zro": (2186.1084,),
    "virus/20180522T023753.4_053RU_zro": (2071.7946,),
    "kast/b14": (943.1393, 965.1563), "kast/b16": (943.3096, 965.3113),
    "kast/b1": (945.3551, 966.7853), "kast/b10": (948.7695, 980.1615),
    "kast/b11": (949.2686, 980.0066), "kast/b24": (942.1039, 963.9391),
    "kast/b27": (941.0579, 962.0313),
    "isis/r2700982": (795.6756,), "isis/r2700984": (795.7633,),
    "isis/r2701247": (796.2038,), "isis/r2701242": (797.4713,),
}  # fmt: skip
"""Mean of the overscan of each amplifier, ADU, within 0.0001."""

OVERSCAN_STD: dict[str, tuple[float, ...]] = {
    "saao/a6381002": (2.278,), "saao/a6381003": (2.247,), "saao/a6381008": (2.279,),
    "saao/a6381016": (2.266,), "saao/a6381060": (2.288,), "saao/a6381061": (2.287,),
    "saao/a6381062": (2.296,), "saao/HILT600_arc": (2.381,), "saao/HILT600_science": (2.411,),
    "saao/SN2024xuo_arc": (2.443,), "saao/SN2024xuo_science": (2.430,),
    "virus/20180522T023753.4_053RL_zro": (3.3725,),
    "virus/20180522T023753.4_053RU_zro": (3.3669,),
    "isis/r2700982": (3.747,), "isis/r2700984": (3.846,), "isis/r2701247": (3.134,),
    "isis/r2701242": (3.248,),
}  # fmt: skip

EFOSC_OVERSCAN = (222, 224, 225, 224, 224, 225, 226, 226, 222, 220, 219)
"""Median of [11:1010,1029:1030] of five biases, three flats, arc, science, EG21."""

SBIG_DARK_MEANS = (
    1131.5840352376, 1134.0517133077, 1135.3469912211, 1136.6994368235, 1137.7144355774,
)  # fmt: skip
"""Of dark-01 to dark-05, counts read as signed."""
SBIG_NOISE = (14.293, 14.274, 14.253, 14.233)
"""Of one dark, from successive pairs, ADU."""
SBIG = {
    "master_mean": 1135.057191212972,
    "master_std": 40.153945286115,
    "mean": 65.2701663970947,
    "std": 314.410268120041,
    "sky_mean": 16.347483170466884,
    "four_sigma": 46.27667705465625,
    "threshold": 62.624160225123134,
    "spectrum_mean": 1201.940699404762,
    "raw_mean": 1228.9829365079365,
}
"""Of the recipe, ADU; counts read as signed."""
SBIG_RAW = "combined_science_10-12_600.000_raw_extraction.txt"
SBIG_SKY_SUBTRACTED = "combined_science_10-12_600.000_skysubtracted.txt"

MEDIAN_FACTORS = {
    1: 1.0, 2: 1.0, 3: 1.34601331, 4: 1.19279847, 5: 1.43416831, 6: 1.28845600, 7: 1.47312803,
    8: 1.34544684, 9: 1.49491153, 10: 1.38326436, 11: 1.50878677, 12: 1.41019425, 16: 1.44600338,
    20: 1.46874055, 21: 1.53845485, 29: 1.54741769, 30: 1.50066266, 32: 1.50479030,
    40: 1.51736628, 50: 1.52764174, 75: 1.56178606, 100: 1.54879360,
}  # fmt: skip
"""Variance of the median of N Gaussian values over sigma^2 / N."""
