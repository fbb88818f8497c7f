"""What the codes mean: for every code of ``records.codes`` its title, what it tells, and what to do about it.

Records hold codes; these texts are made at display, in the reader's language. All are message ids for gettext.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from central.web.i18n import N_
from records import texts as records_texts


@dataclass(frozen=True, slots=True)
class CodeText:
    """``title`` names it, ``meaning`` explains it, ``action`` says what to do (empty for events)."""

    title: str
    meaning: str
    action: str = ""


EVENT_TEXTS: Mapping[str, CodeText] = {
    code: CodeText(text.title.english, text.meaning.english) for code, text in records_texts.EVENT_TEXTS.items()
}
"""Message ids of what the agent's page says, too; their translations stand beside them in ``records.texts``."""

EXCEPTION_TEXTS: dict[str, CodeText] = {
    "out-of-specification": CodeText(
        N_("Out of specification"),
        N_("A measured value lies outside the specification, whatever the machine itself said about the piece."),
        N_("Find where the piece is now and hold it. Decide rework, scrap or concession, and say why."),
    ),
    "spc-signal": CodeText(
        N_("Control chart signal"),
        N_("The values are within specification, but the process is no longer the one that the limits describe."),
        N_("Look at the chart from the flagged point back: tool, material lot, operator, set-up. Name the cause."),
    ),
    "chart-no-limits": CodeText(
        N_("Chart without limits"),
        N_(
            "There are limits for other products, revisions, tools or positions, and none for this one, or the "
            "approved set is for another kind of chart, subgroup or number of variables."
        ),
        N_("Study the points of this chart and propose limits, or add them to the line file."),
    ),
    "unit-failed": CodeText(
        N_("Unit failed"),
        N_("A run of this operation gave the result fail for this piece."),
        N_("Check that the piece was retested, reworked or scrapped, and that its later records say so."),
    ),
    "unit-scrapped": CodeText(
        N_("Unit scrapped"),
        N_("The piece left the line as scrap. It does not count as good and is not part of the lot."),
        N_("Check that the scrap was taken away and counted, then close with the cause."),
    ),
    "retested": CodeText(
        N_("Retested"),
        N_("The same piece was tested again after it had failed, without having been worked on in between."),
        N_("Judge whether the first result can be explained. A retest without a cause proves nothing."),
    ),
    "reworked": CodeText(
        N_("Reworked"),
        N_("The piece went through an operation again to be repaired."),
        N_("Check that rework is allowed for this product and that all tests were repeated afterwards."),
    ),
    "run-aborted": CodeText(
        N_("Run aborted"),
        N_("An operation was begun on this piece and not finished."),
        N_("Check that the piece was run again from the beginning, or taken off the line."),
    ),
    "run-resumed": CodeText(
        N_("Run resumed after a restart"),
        N_("The agent stopped while the operation ran, and took the run up again after its restart."),
        N_("Compare the times and values of the record with the machine's own cycle."),
    ),
    "run-without-order": CodeText(
        N_("Run without a work order"),
        N_("The machine ran while its station had no work order, as after a line PC was replaced."),
        N_("Find out which piece it was, judge by this record what that piece lacks, and say so."),
    ),
    "operation-repeated": CodeText(
        N_("Operation done twice"),
        N_(
            "One piece has two records of one operation, without rework or retest: either it was run twice, or a "
            "reader gave the wrong carrier."
        ),
        N_("Look for a piece without this operation at about that time. Decide which record belongs to which."),
    ),
    "operation-missing": CodeText(
        N_("Operation missing"),
        N_("The piece went on without a record of an operation that its route asks for."),
        N_("Hold the piece. Look for its record at another piece, else run the operation or scrap it."),
    ),
    "reading-bad": CodeText(
        N_("Value of bad quality"),
        N_("The machine did not give a usable value at this moment. Nothing was put in its place."),
        N_("Check the device. Decide whether the piece can be judged without this value or must be run again."),
    ),
    "cycles-missed": CodeText(
        N_("Machine cycles without a record"),
        N_("The machine's cycle counter moved on by more than one: it worked while nobody recorded it."),
        N_("Find out which pieces were worked on. What is not recorded cannot be released as good."),
    ),
    "device-lost": CodeText(
        N_("Device lost"),
        N_("The agent had no connection to this device for a time."),
        N_("Check that the machine stood still in that time, or that its cycles are all accounted for."),
    ),
    "clock-jump": CodeText(
        N_("Clock jumped"),
        N_("The clock of the line PC was moved. The order of records is not affected, their times are."),
        N_("Check the time service of the line PC and note the difference."),
    ),
    "document-too-old": CodeText(
        N_("Worked with old instructions"),
        N_("The station used a work order or lot list older than allowed, since central was not reached."),
        N_("Check that the order and the lots were still valid at that time."),
    ),
    "configuration-not-approved": CodeText(
        N_("Configuration not approved"),
        N_("A station of a production agent worked by a line file that quality had not approved."),
        N_("Look at what was changed in the line file, and judge the pieces that were made by it."),
    ),
    "unit-held": CodeText(
        N_("Unit held after a signal"),
        N_("The reaction plan of a control chart holds these pieces: what was wrong may have touched them."),
        N_("Find the cause of the signal. Inspect the pieces and decide: release, rework, scrap or concession."),
    ),
    "station-held": CodeText(
        N_("Station held after a signal"),
        N_("The reaction plan of a control chart stopped the station until a person lifts the hold."),
        N_("Check which pieces were made between the signal and the standstill, and what was found."),
    ),
    "station-hold-lifted": CodeText(
        N_("Hold of the station lifted"),
        N_("A person let the station go on after a signal had stopped it."),
        N_("Judge whether the reason given covers the cause of the signal."),
    ),
    "unit-released-at-station": CodeText(
        N_("Held unit released at the station"),
        N_("A person at the line let pieces go on that a signal had held. Quality has not decided by that."),
        N_("Judge whether the reason given covers these pieces. Close the hold itself only with that decision."),
    ),
    "ran-while-held": CodeText(
        N_("Worked on while held"),
        N_("The machine ran although the station was held, or a held piece was worked on."),
        N_("Find out how the interlock was passed. Judge the pieces that were made meanwhile."),
    ),
    "ran-while-barred": CodeText(
        N_("Worked on although barred"),
        N_("The machine ran although what central had told the station stood against a start."),
        N_("Look at what stood against it, find out how the interlock was passed, and judge these pieces."),
    ),
    "escalated": CodeText(
        N_("Signal escalated"),
        N_("The reaction plan of a control chart asks that a named person or role hears of this signal."),
        N_("See that the person named has heard of it, and close it with what they decided."),
    ),
    "identity-unknown": CodeText(
        N_("Unknown piece"),
        N_("No work order and no earlier record explains this piece."),
        N_("Find out where the piece came from. Hold it until that is known."),
    ),
    "scan-not-understood": CodeText(
        N_("Scan not understood"),
        N_("No field of any station expects what was scanned. The station said no."),
        N_("Check which label was scanned, and whether the label or the set-up of the station is wrong."),
    ),
    "barcode-invalid": CodeText(
        N_("Barcode invalid"),
        N_("The barcode's check digit, date or structure is wrong. The station said no."),
        N_("Have the label printed again and look at the printer or its template."),
    ),
    "order-unknown": CodeText(
        N_("Order unknown"),
        N_("The scanned order is not a released work order here. The station said no."),
        N_("Check the order in the ERP and the connection to it."),
    ),
    "item-not-in-bom": CodeText(
        N_("Item not in the bill of material"),
        N_("The scanned label names an item that the order does not use. The station said no."),
        N_("Take the material away from the station and check how it got there."),
    ),
    "lot-unknown": CodeText(
        N_("Material lot unknown"),
        N_("The scanned lot was never released to this line. The station said no."),
        N_("Check the goods receipt and the status of the lot in the ERP."),
    ),
    "lot-expired": CodeText(
        N_("Material lot expired"),
        N_("The scanned lot was past its expiry date. The station said no, the lot was not used."),
        N_("Take the lot out of the line's stock and check why it was still there."),
    ),
    "lot-blocked": CodeText(
        N_("Material lot blocked"),
        N_("The scanned lot is blocked. The station said no, the lot was not used."),
        N_("Take the lot away from the line and check why it was brought there."),
    ),
    "label-wrong-product": CodeText(
        N_("Label of another product"),
        N_("The scanned label belongs to another product. The station said no."),
        N_("Do the line clearance for labels again and count the labels of both products."),
    ),
    "label-wrong-lot": CodeText(
        N_("Label of another lot"),
        N_("The scanned label carries a lot that is not the order's. The station said no."),
        N_("Do the line clearance for labels again and count the labels of both lots."),
    ),
    "serial-used": CodeText(
        N_("Serial number already used"),
        N_("The scanned serial number is already on another piece. The station said no."),
        N_("Find both labels. One of them was printed or taken twice."),
    ),
    "operator-unknown": CodeText(
        N_("Operator unknown"),
        N_("The scanned badge is not known at this station. The station said no."),
        N_("Check the badge and the operator's right to work here."),
    ),
    "nothing-to-identify": CodeText(
        N_("Label without a piece"),
        N_("A label was read while no piece waited for one. The station said no."),
        N_("Check that no piece passed the station without a label."),
    ),
    "unit-on-hold": CodeText(
        N_("Scan of a held unit"),
        N_("A signal held the scanned piece, and nobody has released it. The station said no."),
        N_("Take the piece off the line until it is decided what becomes of it."),
    ),
    "not-now": CodeText(
        N_("Scan at the wrong moment"),
        N_("The content was right, but the station did not expect it at this moment and said no."),
        N_("Nothing was recorded with it. Close when the scan was repeated at the right moment."),
    ),
    "not-answered-in-time": CodeText(
        N_("Scan not answered in time"),
        N_("The station could not decide within the time that an operator waits, so the operator was told no."),
        N_("Nothing was recorded with it. Close when the scan was repeated; find out what held the station up."),
    ),
    "operator-not-qualified": CodeText(
        N_("Operator not qualified"),
        N_("The badge has ended, or its person is not qualified for this operation. The station said no."),
        N_("Have somebody else work there, or have the list of people brought up to date."),
    ),
    "held-by-quality": CodeText(
        N_("Scan of what quality holds"),
        N_("A person at central holds what was scanned. The station said no."),
        N_("Take it off the line until the hold is released. Nothing has to be decided here."),
    ),
    "operation-skipped": CodeText(
        N_("Scan of a piece that lacks an operation"),
        N_("An earlier operation of the scanned piece is missing or has failed. The station said no."),
        N_("Find out where the piece was. Run what is missing, or take the piece out."),
    ),
    "lot-used-up": CodeText(
        N_("Scan of a used up lot"),
        N_("Too little is left of the scanned lot by what central knows. The station said no."),
        N_("Count what is left. Correct the stock in the ERP where it is wrong."),
    ),
    "identifier-too-long": CodeText(
        N_("Scan longer than an identifier"),
        N_("The scanned code gives a name that is longer than an identifier can be. The station said no."),
        N_("Check which label was scanned. A pattern in the line file can take the part that is meant."),
    ),
    "load-full": CodeText(
        N_("Scan for a full load"),
        N_("The load has as many units as one record can hold. The station said no."),
        N_("Run the load, then scan the unit for the next one. Nothing has to be decided here."),
    ),
    "document-stale": CodeText(
        N_("Scan refused for old instructions"),
        N_("What says that the scan is right is older than the line allows, since central was not reached."),
        N_("Bring the line back to central. Close when the scan was repeated after that."),
    ),
}

DISCREPANCY_TEXTS: dict[str, CodeText] = {
    "quantity-disagrees": CodeText(
        N_("Quantity disagrees"),
        N_("The records of an operation do not add up to the quantity that was ordered or begun."),
        N_("Look for pieces without a record, scrap that was not reported, or an order that is still running."),
    ),
    "counter-disagrees": CodeText(
        N_("Machine counter disagrees"),
        N_("The machine's own part counter moved by another number than there are records."),
        N_("Ask the line whether the machine ran by hand or was reset. State which of the two is right, and why."),
    ),
    "cycle-doubled": CodeText(
        N_("Machine cycle recorded twice"),
        N_("Two records name the same machine cycle of the same station. Only one of them can be right."),
        N_("Compare both records. Find out what the machine really did, and state which one holds."),
    ),
    "serial-doubled": CodeText(
        N_("Serial number on two pieces"),
        N_("One serial number was given to two different pieces."),
        N_("Hold both pieces. Find out which label is right; the other piece must be labelled anew or scrapped."),
    ),
    "lot-unknown-to-erp": CodeText(
        N_("Lot unknown to the ERP"),
        N_("The line used a material lot that the ERP does not know, so that it cannot be booked."),
        N_("Book the goods receipt of the lot in the ERP, or find out which lot was really used."),
    ),
    "consumption-disagrees": CodeText(
        N_("Consumption disagrees"),
        N_("The recorded consumption of a component is not what the bill of material asks for."),
        N_("Check set-up pieces, repeated assembly and scrap: each consumes material. Then accept or correct it."),
    ),
    "certificate-incomplete": CodeText(
        N_("Gap in the records"),
        N_("Records or machine cycles of this lot are missing, or nothing proves that there were no more."),
        N_("Find out what the line did in the gap. A lot with an unexplained gap must not be released."),
    ),
    "certificate-tail-unknown": CodeText(
        N_("End of the records not proven"),
        N_("No signed head of the agent reaches beyond the end of the order: later records may be missing."),
        N_("Wait until the agent has reported again, or find out why it cannot."),
    ),
    "certificate-cycles-not-provable": CodeText(
        N_("Machine cycles not provable"),
        N_("This machine has no cycle counter, so that completeness rests on the sequence of records alone."),
        N_("Compare the quantity by other means, for example by counting, and state the result."),
    ),
    "erp-refused": CodeText(
        N_("ERP refused the booking"),
        N_("The ERP answered the confirmation of this order with an error. Nothing was booked twice."),
        N_("Correct the cause in the ERP; the same confirmation is sent again with the same key."),
    ),
    "erp-disagrees": CodeText(
        N_("ERP disagrees"),
        N_("What the ERP holds after the confirmation is not what was sent."),
        N_("Look for a manual booking in the ERP. Correct it there, or accept the difference with a reason."),
    ),
    "record-conflict": CodeText(
        N_("Two contents for one record"),
        N_("The agent offered a record number again with another content. The first one was kept."),
        N_("Treat it as possible manipulation or as a disk that was rolled back. Verify the agent's buffer."),
    ),
    "record-quarantined": CodeText(
        N_("Message in quarantine"),
        N_("A message of this agent could not be read and was set aside. Nothing was dropped."),
        N_("Look at the reason. When it was a record of this lot, the lot is not complete."),
    ),
}


def finding_text(code: str) -> CodeText:
    """The text of an exception or discrepancy; a code of a later build stands for itself."""
    return EXCEPTION_TEXTS.get(code) or DISCREPANCY_TEXTS.get(code) or CodeText(code, "", "")


def event_text(code: str) -> CodeText:
    return EVENT_TEXTS.get(code) or CodeText(code, "")
