"""Fill an empty Tryton 8.2 database with a plant's master data and orders (run by Tryton's own Python).

``simulators.erp_tryton`` starts this file as a program in the environment where Tryton is installed. Nothing of
Lotkeeper is imported here, since it does not exist over there; proteus (Tryton's client library) is loaded by
name, since it does not exist over here. The simulated ERP takes the plant's master data from this file, so that
both ERPs know the same plant.

    python tryton_setup.py activate --config trytond.conf           passwords come from the environment:
    python tryton_setup.py load     --config trytond.conf --orders N --units N --out demo.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

DATABASE = "erp"
DEVICE = "VS-100"
BILL = (("VB-10", 1), ("SR-20", 2))
FIRST_ORDER = 1000
MODULES = (
    "company",
    "party",
    "product",
    "stock",
    "stock_lot",
    "stock_lot_sled",
    "stock_lot_unit",
    "production",
    "production_routing",
    "production_work",
    "quality",
)
OPERATIONS = (
    ("OP10 Assemble", "ASM", "Assembly station"),
    ("OP20 Weld", "WELD", "Welder"),
    ("OP30 Leak test and label", "LEAK", "Leak tester"),
    ("OP40 Wash", "WASH", "Washer"),
)
GROUPS = (
    "stock.group_stock",
    "production.group_production",
    "quality.group_quality",
    "product.group_product_admin",
)
GOOD_UNTIL = dt.date(2036, 6, 30)
EXPIRED = dt.date(2025, 11, 30)


def lots_in_stock(orders: int, units: int) -> tuple[tuple[str, str, dt.date | None, int], ...]:
    """Number, item, expiry and quantity: each lot alone is enough for all orders, with something to spare."""
    pieces = orders * units + orders * units // 4 + 20
    return (
        ("VB-2026-001", "VB-10", None, pieces),
        ("VB-2026-002", "VB-10", None, pieces),
        ("SR-2026-0A", "SR-20", GOOD_UNTIL, 2 * pieces),
        ("SR-2025-EX", "SR-20", EXPIRED, 50),
    )


def activate(config: Path) -> None:
    """Make the tables and activate the modules, as ``trytond-admin`` does (half a minute)."""
    password = config.with_name("admin.pass")
    password.touch(mode=0o600)
    password.write_text(os.environ["TRYTON_ADMIN_PASSWORD"])
    admin = Path(sys.executable).with_name("trytond-admin")
    command = [sys.executable, str(admin), "-c", str(config), "-d", DATABASE, "--email", "admin@example.org"]
    try:
        subprocess.run(
            [*command, "-u", *MODULES, "--activate-dependencies"],
            check=True,
            env={**os.environ, "TRYTONPASSFILE": str(password)},
        )
    finally:
        password.unlink()


class Plant:
    """The master data, made in the order in which each part needs the earlier ones."""

    def __init__(self, config: Path) -> None:
        self._proteus: Any = importlib.import_module("proteus")
        self._session = self._proteus.config.set_trytond(f"sqlite:///{DATABASE}", config_file=str(config))
        self.unit: Any = None
        self.products: dict[str, Any] = {}

    def model(self, name: str) -> Any:
        return self._proteus.Model.get(name)

    def first(self, model: str, *domain: tuple[str, str, object]) -> Any:
        return self.model(model).find(list(domain), limit=1)[0]

    def company(self) -> None:
        euro = self.model("currency.currency")(name="Euro", symbol="€", code="EUR")
        euro.rates.new(rate=Decimal(1), date=dt.date(2020, 1, 1))
        euro.save()
        party = self.model("party.party")(name="Demo Medical Devices")
        party.save()
        wizard = self._proteus.Wizard("company.company.config")
        wizard.execute("company")
        wizard.form.party, wizard.form.currency = party, euro
        wizard.execute("add")
        self._session._context = self.model("res.user").get_preferences(True, {})  # noqa: SLF001  proteus offers no other way

    def interface_user(self, password: str) -> None:
        """The user that central signs in as: no administrator, no right to force stock."""
        company = self.first("company.company")
        person = self.model("party.party")(name="MES interface")
        person.save()
        employee = self.model("company.employee")(party=person, company=company)
        employee.save()
        user = self.model("res.user")(name="MES interface", login="mes", password=password)
        user.companies.append(company)
        user.company = company
        user.employees.append(employee)
        user.employee = employee
        data, group = self.model("ir.model.data"), self.model("res.group")
        for name in GROUPS:
            user.groups.append(group(data.get_id(name, self._session.context)))
        user.save()

    def items(self) -> None:
        self.unit = self.first("product.uom", ("name", "=", "Unit"))
        self._item(DEVICE, "Infusion valve set", cost="40", made=True)
        self._item("VB-10", "Valve body", cost="8")
        self._item("SR-20", "Silicone seal ring", cost="0.5", expires=True)

    def _item(self, code: str, name: str, *, cost: str, made: bool = False, expires: bool = False) -> None:
        template = self.model("product.template")(name=name, default_uom=self.unit, type="goods", producible=made)
        template.lot_required = ["supplier", "storage", "production", "customer"]
        template.list_price = Decimal(0)
        if made:
            template.lot_uom = self.unit  # at most one unit in a lot: a lot number is a serial number
        if expires:
            template.shelf_life_state = "required"
            template.shelf_life_time = 365
        product = template.products[0]
        product.suffix_code = code
        product.cost_price = Decimal(cost)
        template.save()
        self.products[code] = template.products[0]

    def line(self) -> Any:
        """A scrap location, the work centres, the bill of material and the routing; gives the line."""
        warehouse = self.first("stock.location", ("type", "=", "warehouse"))
        scrap = self.model("stock.location")(name="Scrap", code="SCRAP", type="lost_found")
        scrap.save()
        warehouse.waste_locations.append(scrap)  # lets outputs of a production go to it
        warehouse.save()
        center = self.model("production.work.center")
        line = center(name="Valve line 1", warehouse=warehouse)
        line.save()
        routing = self.model("production.routing")(name="RT-VS-100-B")
        bom = self._bom()
        routing.boms.append(bom)
        for number, (name, code, place) in enumerate(OPERATIONS, 1):
            category = self.model("production.work.center.category")(name=code)
            category.save()
            center(
                name=place,
                parent=line,
                category=category,
                warehouse=warehouse,
                cost_method="hour",
                cost_price=Decimal(60),
            ).save()
            operation = self.model("production.routing.operation")(name=name, work_center_category=category)
            operation.save()
            routing.steps.new(operation=operation, sequence=number * 10)
        routing.save()
        device = self.products[DEVICE]
        device.boms.append(self.model("product.product-production.bom")(bom=bom, routing=routing))
        device.save()
        return line

    def _bom(self) -> Any:
        bom = self.model("production.bom")(name="VS-100", code="BOM-VS-100-B")  # no revision field: in the code
        bom.tolerance = 0.1
        for item, quantity in BILL:
            bom.inputs.new(product=self.products[item], quantity=quantity, unit=self.unit)
        bom.outputs.new(product=self.products[DEVICE], quantity=1, unit=self.unit)
        bom.save()
        return bom

    def stock(self, orders: int, units: int) -> None:
        inventory = self.model("stock.inventory")(location=self.first("stock.location", ("code", "=", "STO")))
        for number, item, expiry, quantity in lots_in_stock(orders, units):
            lot = self.model("stock.lot")(number=number, product=self.products[item])
            if expiry is not None:
                lot.shelf_life_expiration_date = expiry
            lot.save()
            inventory.lines.new(product=self.products[item], lot=lot, quantity=quantity)
        inventory.click("confirm")

    def quality_plan(self) -> None:
        """No order of VS-100 may be done before this inspection exists and passed."""
        control = self.model("quality.control")(
            name="VS-100 final release",
            product=self.products[DEVICE],
            company=self.first("company.company"),
        )
        control.operations = ["production:do"]
        control.points.new(string="Leak rate", type_="float", tolerance_lower=0.0, tolerance_upper=0.5)
        control.save()

    def orders(self, count: int, units: int, line: Any) -> list[dict[str, Any]]:
        device = self.products[DEVICE]
        made = []
        for index in range(count):
            order = self.model("production")(product=device, bom=device.boms[0].bom, work_center=line)
            order.routing = device.boms[0].routing
            order.quantity, order.unit, order.reference = units, self.unit, f"WO-{FIRST_ORDER + index}"
            order.planned_date = dt.date(2026, 12, 1) + dt.timedelta(days=index)
            order.save()
            order.click("wait")
            made.append({"id": order.id, "number": order.number, "reference": order.reference})
        return made


def load(config: Path, orders: int, units: int, out: Path) -> None:
    plant = Plant(config)
    plant.company()
    plant.interface_user(os.environ["TRYTON_MES_PASSWORD"])
    plant.items()
    line = plant.line()
    plant.stock(orders, units)
    plant.quality_plan()
    made = plant.orders(orders, units, line)
    out.write_text(json.dumps({"orders": made}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill an empty Tryton database with a plant's data.")
    parser.add_argument("what", choices=("activate", "load"))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=2)
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.what == "activate":
        activate(given.config)
    else:
        load(given.config, given.orders, given.units, given.out)


if __name__ == "__main__":
    main()
