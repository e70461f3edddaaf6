"""A small API to try otload on: ten cars and ten planes."""

from flask import Flask, jsonify

app = Flask(__name__)

CARS = [
    {"id": id, "brand": brand, "model": model, "year": year, "price_eur": price}
    for id, (brand, model, year, price) in enumerate(
        [
            ("Tesla", "Model 3", 2024, 42990),
            ("Volkswagen", "Golf", 2022, 29450),
            ("Toyota", "Corolla", 2023, 31790),
            ("BMW", "i4", 2024, 59200),
            ("Renault", "Mégane", 2021, 24300),
            ("Škoda", "Octavia", 2023, 33880),
            ("Hyundai", "Ioniq 5", 2024, 43900),
            ("Volvo", "EX30", 2024, 36590),
            ("Fiat", "500e", 2022, 29990),
            ("Mazda", "MX-5", 2020, 27500),
        ],
        start=1,
    )
]

PLANES = [
    {"id": id, "maker": maker, "model": model, "since": since, "seats": seats}
    for id, (maker, model, since, seats) in enumerate(
        [
            ("Airbus", "A320neo", 2016, 180),
            ("Airbus", "A350-900", 2014, 325),
            ("Boeing", "737 MAX 8", 2017, 178),
            ("Boeing", "787-9", 2014, 296),
            ("Embraer", "E195-E2", 2019, 132),
            ("ATR", "72-600", 2010, 72),
            ("Bombardier", "CRJ900", 2003, 90),
            ("De Havilland", "Dash 8-400", 2000, 82),
            ("Cessna", "Citation Latitude", 2015, 9),
            ("Pilatus", "PC-12 NGX", 2019, 9),
        ],
        start=1,
    )
]


@app.get("/cars")
def cars():
    return jsonify(cars=CARS)


@app.get("/planes")
def planes():
    return jsonify(planes=PLANES)
