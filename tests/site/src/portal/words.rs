//! The vocabulary of the listings: title words, sentences, places. Titles are made of words that `str.title()` of Python
//! gives back whatever their case was before.

/// First words of a title.
pub(crate) const MOODS: &[&str] = &[
    "Bright",
    "Quiet",
    "Spacious",
    "Modern",
    "Charming",
    "Stylish",
    "Cosy",
    "Sunny",
    "Elegant",
    "Rustic",
    "Compact",
    "Lofty",
    "Refurbished",
    "Furnished",
    "Unique",
    "Peaceful",
    "Central",
    "Airy",
    "Handsome",
    "Grand",
    "Snug",
    "Élégant",
    "Leafy",
    "Secluded",
];

/// Second words of a title.
pub(crate) const SIZES: &[&str] = &[
    "Studio",
    "One Bedroom",
    "Two Bedroom",
    "Three Bedroom",
    "Four Bedroom",
    "Split-Level",
    "Double",
    "Single",
    "Family",
    "Garden",
    "Top Floor",
    "Ground Floor",
    "Corner",
];

/// What is let.
pub(crate) const KINDS: &[&str] = &[
    "Flat",
    "Apartment",
    "House",
    "Cottage",
    "Maisonette",
    "Loft",
    "Penthouse",
    "Bungalow",
    "Townhouse",
    "Duplex",
    "Barn",
    "Annexe",
    "Pied-À-Terre",
    "Workshop",
    "Mews",
    "Villa",
];

/// Last words of a title.
pub(crate) const FEATURES: &[&str] = &[
    "Near Station",
    "With Balcony",
    "With Sea View",
    "By The River",
    "With Parking",
    "Near Park",
    "With Roof Terrace",
    "Over Café",
    "With Fireplace",
    "& Study",
    "& Garage",
    "With Large Kitchen",
    "Close To Market",
    "In Old Mill",
    "With Jardinière",
    "Facing South",
    "Near Good Schools",
    "With Bike Store",
];

/// Sentences of a description. `&`, quotes, signs and letters beyond ASCII are wanted: pages escape them in several ways.
pub(crate) const SENTENCES: &[&str] = &[
    "A well kept home in a calm street, five minutes from shops & cafés.",
    "The kitchen was fitted last spring and has an induction hob.",
    "Bills are shared; council tax isn’t included in the rent.",
    "Large windows on two sides give light from morning to evening.",
    "Sorry, no smokers – cats are welcome.",
    "Deposit: five weeks’ rent, returned within ten days.",
    "The living room measures 6½ by 4 metres & opens to the garden.",
    "Cycle parking in the yard, permit parking in front (about £9 a month).",
    "Heating <A rated boiler> and hot water are metered for each flat.",
    "Available from the first of the month, for 12 months or longer.",
    "The landlord lives next door and answers the same day.",
    "Parquet floors, high ceilings and a façade under protection.",
    "Fibre to the home, 1 Gbit/s; the router stays.",
    "The bathroom has a bath and a separate shower at 38 °C.",
    "Bus 12 stops at the corner, the night line too.",
    "A naïve painting of the harbour comes with the flat.",
    "Second bedroom suits a child or a study, “just” 7 m².",
    "There is room for a piano; the neighbours have asked for one.",
    "The roof was insulated in 2019, energy class B > C.",
    "Viewings on weekdays after six & on Saturdays.",
    "The storage room in the cellar is dry and locked.",
    "Señor Ibáñez & daughter built the staircase from one oak.",
    "Pets by arrangement, musical instruments until nine.",
    "Rent is due on the 1st – the first month pro rata.",
];

/// Beginnings of the names of quarters.
pub(crate) const QUARTER_STARTS: &[&str] = &[
    "Ash",
    "Birch",
    "Clay",
    "Dray",
    "Elm",
    "Fern",
    "Glen",
    "Hazel",
    "Iron",
    "King",
    "Lamb",
    "Mill",
    "Nettle",
    "Oak",
    "Priors",
    "Queen",
    "Rush",
    "Stone",
    "Thorn",
    "Wind",
    "Lower ",
    "Upper ",
    "Saint ",
    "Château ",
];

/// Ends of the names of quarters.
pub(crate) const QUARTER_ENDS: &[&str] = &[
    "ford", "gate", "field", "bridge", "well", "church", "market", "croft", "hill", "wick", "ham", "side", "mead",
    "row",
];

/// A town: its name, where it is, and its prices against the country's, in per cent.
#[derive(Debug)]
pub(crate) struct Town {
    pub name: &'static str,
    pub lat: f64,
    pub lon: f64,
    pub price_percent: u64,
}

const fn town(name: &'static str, lat: f64, lon: f64, price_percent: u64) -> Town {
    Town { name, lat, lon, price_percent }
}

/// The towns, with coordinates in degrees (WGS 84, to about a kilometre).
pub(crate) const TOWNS: &[Town] = &[
    town("London", 51.5074, -0.1278, 240),
    town("Edinburgh", 55.9533, -3.1883, 150),
    town("Manchester", 53.4808, -2.2426, 125),
    town("Birmingham", 52.4862, -1.8904, 110),
    town("Leeds", 53.8008, -1.5491, 100),
    town("Glasgow", 55.8642, -4.2518, 105),
    town("Liverpool", 53.4084, -2.9916, 92),
    town("Bristol", 51.4545, -2.5879, 145),
    town("Sheffield", 53.3811, -1.4701, 88),
    town("Cardiff", 51.4816, -3.1791, 102),
    town("Belfast", 54.5973, -5.9301, 90),
    town("Nottingham", 52.9548, -1.1581, 93),
    town("Newcastle", 54.9783, -1.6178, 89),
    town("Brighton", 50.8225, -0.1372, 165),
    town("Plymouth", 50.3755, -4.1427, 86),
    town("Southampton", 50.9097, -1.4044, 104),
    town("Norwich", 52.6309, 1.2974, 97),
    town("York", 53.96, -1.0873, 112),
    town("Oxford", 51.752, -1.2577, 180),
    town("Cambridge", 52.2053, 0.1218, 178),
    town("Exeter", 50.7184, -3.5339, 103),
    town("Bath", 51.3811, -2.359, 150),
    town("Aberdeen", 57.1497, -2.0943, 91),
    town("Dundee", 56.462, -2.9707, 79),
    town("Inverness", 57.4778, -4.2247, 84),
    town("Swansea", 51.6214, -3.9436, 78),
    town("Durham", 54.7753, -1.5849, 83),
    town("Lincoln", 53.2307, -0.5406, 80),
    town("Chester", 53.1934, -2.8931, 98),
    town("Carlisle", 54.8925, -2.9329, 72),
    town("Derry", 54.9966, -7.3086, 70),
    town("Falmouth", 50.1526, -5.0663, 96),
    town("Whitby", 54.4863, -0.6133, 87),
    town("Aberdâr", 51.7135, -3.4445, 66),
    town("Aberystwyth", 52.4153, -4.0829, 75),
    town("Dún Laoghaire", 53.2944, -6.1339, 190),
    town("Kendal", 54.3269, -2.7476, 90),
    town("Hereford", 52.0567, -2.716, 82),
    town("Ipswich", 52.0567, 1.1482, 85),
    town("Oban", 56.4152, -5.471, 81),
];
