"""Known values for the tests of weir-geo, computed another way than the crate does: distances from the angle between unit
vectors with 50 digits, geohashes by bisection with exact fractions. Prints Rust: `python oracle.py distances|geohashes`."""

import sys
from fractions import Fraction
from random import Random

from mpmath import atan2, cos, mp, mpf, pi, sin, sqrt

mp.dps = 50
RADIUS_KM = mpf("6371.0088")
BASE32 = "0123456789bcdefghjkmnpqrstuvwxyz"

PLACES = [
    ("51.5074", "-0.1278"), ("48.8566", "2.3522"), ("40.7128", "-74.006"), ("-33.8688", "151.2093"), ("0", "0"),
    ("90", "0"), ("-90", "45"), ("0", "180"), ("0", "-180"), ("0", "179.9999"), ("64.1466", "-21.9426"), ("-17.7134", "178.065"),
    ("57.64911", "10.40744"), ("42.605", "-5.603"), ("51.50740001", "-0.12780001"), ("-0.0001", "-179.9999"),
]


def vector(lat, lon):
    lat, lon = mpf(lat) * pi / 180, mpf(lon) * pi / 180
    return cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)


def distance(a, b):
    (x, y, z), (u, v, w) = vector(*a), vector(*b)
    cross = sqrt((y * w - z * v) ** 2 + (z * u - x * w) ** 2 + (x * v - y * u) ** 2)
    return RADIUS_KM * atan2(cross, x * u + y * v + z * w)


def geohash(lat, lon, length):
    lat, lon = Fraction(lat), Fraction(lon)
    ranges = {"lon": [Fraction(-180), Fraction(180)], "lat": [Fraction(-90), Fraction(90)]}
    text, bits, value = "", 0, 0
    while len(text) < length:
        axis, point = ("lon", lon) if (bits + 5 * len(text)) % 2 == 0 else ("lat", lat)
        low, high = ranges[axis]
        middle = (low + high) / 2
        value = value * 2 + (point >= middle)
        ranges[axis] = [middle, high] if point >= middle else [low, middle]
        bits += 1
        if bits == 5:
            text, bits, value = text + BASE32[value], 0, 0
    return text


def main():
    dice = Random(9)
    some = [(f"{dice.uniform(-90, 90):.5f}", f"{dice.uniform(-180, 180):.5f}") for _ in range(24)]
    number = lambda text: text if "." in text else text + ".0"
    if sys.argv[1] == "distances":
        pairs = [(a, b) for i, a in enumerate(PLACES) for b in PLACES[i + 1:]] + list(zip(some[::2], some[1::2]))
        print("/// Latitude and longitude of two points, and their distance in kilometres.")
        print(f"const DISTANCES: [(f64, f64, f64, f64, f64); {len(pairs)}] = [")
        for a, b in pairs:
            print(f"    ({', '.join(map(number, a + b))}, {mp.nstr(distance(a, b), 15, min_fixed=-20, max_fixed=20)}),")
    else:
        rows = [(place, length) for place in PLACES + some for length in (1, 2, 5, 8, 12)]
        print("/// Latitude, longitude, and the geohash of that many characters.")
        print(f"const GEOHASHES: [(f64, f64, &str); {len(rows)}] = [")
        for (lat, lon), length in rows:
            print(f'    ({number(lat)}, {number(lon)}, "{geohash(lat, lon, length)}"),')
    print("];")


main()
