"""What the codes of events mean: for each its title and what it tells. Message ids for gettext."""

from __future__ import annotations

from dataclasses import dataclass

from central.web.i18n import N_


@dataclass(frozen=True, slots=True)
class CodeText:
    """``title`` names it, ``meaning`` explains it, ``action`` says what to do (empty for events)."""

    title: str
    meaning: str
    action: str = ""


EVENT_TEXTS: dict[str, CodeText] = {
    "agent-started": CodeText(N_("Agent started"), N_("The agent began to work.")),
    "agent-stopped": CodeText(N_("Agent stopped"), N_("The agent ended in order.")),
    "configuration-loaded": CodeText(N_("Configuration loaded"), N_("The agent works by this configuration.")),
    "configuration-refused": CodeText(
        N_("Configuration refused"), N_("The line file is wrong or needs a restart. The agent works as before.")
    ),
    "station-configured": CodeText(
        N_("Station works by another configuration"),
        N_("From here on the station's records are made by the new configuration."),
    ),
    "configuration-not-approved": CodeText(
        N_("Configuration not approved"),
        N_("The agent makes production runs only by approved line files: from here on the runs are set-up."),
    ),
    "configuration-approved": CodeText(
        N_("Configuration approved"), N_("From here on the station's runs are what the machine says.")
    ),
    "device-connected": CodeText(N_("Device connected"), N_("The device answers.")),
    "device-lost": CodeText(N_("Device lost"), N_("The device does not answer any more.")),
    "device-changed": CodeText(N_("Device changed"), N_("Another device answers at this address.")),
    "clock-jump": CodeText(N_("Clock jumped"), N_("The clock of the line PC was moved.")),
    "plc-write": CodeText(N_("Value written to the PLC"), N_("A value was written to the machine.")),
    "reading-bad": CodeText(N_("Value of bad quality"), N_("The machine did not give a usable value.")),
    "reading-stale": CodeText(N_("Value too old"), N_("The machine told no fresh value for too long.")),
    "samples-lost": CodeText(
        N_("Samples lost"), N_("Values between two readings were lost before the agent could take them.")
    ),
    "server-certificate": CodeText(
        N_("Certificate of a machine seen"), N_("The OPC UA server showed this certificate for the first time.")
    ),
    "certificate-expires": CodeText(
        N_("Certificate ends soon"),
        N_("This OPC UA certificate ends within a month; after that the connection is refused."),
    ),
    "device-identity": CodeText(N_("Device told who it is"), N_("Maker, model, serial number and firmware.")),
    "settings-revised": CodeText(
        N_("Server changed a setting"), N_("The OPC UA server reads or queues otherwise than it was asked to.")
    ),
    "clock-skew": CodeText(
        N_("Clock of a machine is wrong"), N_("The machine's clock is far from that of the line PC.")
    ),
    "polls-late": CodeText(
        N_("Reading falls behind"), N_("The machine is read more slowly than the line file asks for.")
    ),
    "polls-on-time": CodeText(N_("Reading keeps up again"), N_("The machine is read as often as asked for.")),
    "telemetry-thinned": CodeText(
        N_("Trend data thinned"),
        N_("Room for trend data ran low: of the oldest their extremes are kept, or they gave way whole."),
    ),
    "telemetry-lost": CodeText(
        N_("Trend data lost"), N_("Values of trend data could not be kept. Records are not concerned.")
    ),
    "buffer-low": CodeText(
        N_("Buffer runs low"), N_("The agent can record for so many hours more without central.")
    ),
    "buffer-full": CodeText(
        N_("Buffer full"), N_("The line was stopped: the agent may keep no more until central takes records.")
    ),
    "disk-full": CodeText(
        N_("Disk full"), N_("The line was stopped: the disk of the line PC has no room for records.")
    ),
    "buffer-room": CodeText(N_("Room in the buffer again"), N_("The line may go on.")),
    "buffer-damaged": CodeText(
        N_("Buffer damaged"),
        N_("The agent's background check met something in its buffer that does not prove itself."),
    ),
    "clock-offset": CodeText(
        N_("Clock of the agent is wrong"), N_("The line PC's clock is far from that of central.")
    ),
    "clock-agrees": CodeText(
        N_("Clock of the agent is right again"), N_("The line PC's clock agrees with that of central.")
    ),
    "epoch-rolled-back": CodeText(N_("Disk rolled back"), N_("The agent's disk holds an older state.")),
    "scan-accepted": CodeText(N_("Scan accepted"), N_("The station took the scan.")),
    "scan-refused": CodeText(N_("Scan refused"), N_("The station said no to the scan.")),
    "operator-signed-on": CodeText(N_("Operator signed on"), N_("A badge was scanned at the station.")),
    "order-started": CodeText(N_("Order started"), N_("The station works on this order from now on.")),
    "order-stopped": CodeText(N_("Order stopped"), N_("The station ended this order.")),
    "lot-mounted": CodeText(N_("Material lot mounted"), N_("From now on this lot is consumed.")),
    "unit-loaded": CodeText(N_("Unit loaded"), N_("The unit was put into a container.")),
    "anchor-kept": CodeText(
        N_("Anchor of central kept"), N_("What central said of its own chains stands in the agent's chain, too.")
    ),
    "document-too-old": CodeText(
        N_("Instructions too old"),
        N_("A document of central is older than the line allows, since central was not reached."),
    ),
    "document-fresh": CodeText(
        N_("Instructions fresh again"),
        N_("A document that was too old is the newest again, or the station does not rely on it any more."),
    ),
    "start-barred": CodeText(
        N_("Start barred"), N_("What central told the station stands against a start, or is to be warned of.")
    ),
    "start-free": CodeText(N_("Start free again"), N_("This no longer stands against a start.")),
    "ran-while-barred": CodeText(
        N_("Worked on although barred"),
        N_("The machine ran although what central had told the station stood against a start."),
    ),
    "run-started": CodeText(N_("Run started"), N_("The machine began a cycle.")),
    "run-aborted": CodeText(N_("Run aborted"), N_("A cycle was begun and not finished.")),
    "run-resumed": CodeText(N_("Run resumed after a restart"), N_("A cycle was taken up again.")),
    "cycles-missed": CodeText(N_("Machine cycles without a record"), N_("The machine worked unrecorded.")),
    "counter-period": CodeText(N_("Counter began anew"), N_("The machine's counter was reset or changed.")),
    "counter-wrapped": CodeText(
        N_("Counter came to its end"),
        N_("The machine's counter went on at its beginning; none was left out unsaid."),
    ),
    "cycle-acknowledged-only": CodeText(
        N_("Cycle acknowledged again"), N_("A cycle that was already recorded was acknowledged to the machine.")
    ),
    "reaction": CodeText(N_("Reaction to a signal"), N_("What the reaction plan of the chart asks for was done.")),
    "unit-held": CodeText(N_("Unit held after a signal"), N_("The station does not take these pieces any more.")),
    "station-held": CodeText(
        N_("Station held after a signal"), N_("The machine may not run until a person lifts the hold.")
    ),
    "ran-while-held": CodeText(
        N_("Worked on while held"), N_("The machine ran although it was held, or a held piece was worked on.")
    ),
    "hold-dropped": CodeText(
        N_("Hold dropped from the station's list"),
        N_("Too much stood at the station: its oldest entry gave way. The records of it stand."),
    ),
    "hold-locks-nothing": CodeText(
        N_("Held, and nothing locks the machine"),
        N_(
            "By its line file the station has neither a hold's tag nor a permit, or it is no longer there. "
            "See to it that the machine does not run."
        ),
    ),
    "hold-tag-left": CodeText(
        N_("Tag of the hold left"),
        N_(
            "Another line file holds the station by another tag, or by none. "
            "An old one left set is taken back at the machine."
        ),
    ),
    "station-hold-lifted": CodeText(
        N_("Hold of the station lifted"), N_("A person let the station go on, with a reason.")
    ),
    "unit-released-at-station": CodeText(
        N_("Held unit released at the station"), N_("A person let held pieces go on, with a reason.")
    ),
    "alarm-acknowledged": CodeText(N_("Alarm acknowledged"), N_("A person has seen the alarm of a signal.")),
    "chart-restarted": CodeText(
        N_("Chart begun anew after a cause"), N_("A person began the chart anew: no run of points crosses this.")
    ),
    "spc-signal": CodeText(N_("Control chart signal"), N_("A rule of the control chart was met.")),
    "spc-subgroup": CodeText(
        N_("Subgroup closed"), N_("The verdict of a subgroup, on all of its pieces: its last reading is known.")
    ),
    "chart-no-limits": CodeText(
        N_("Chart without limits"), N_("No limits are known for this product, revision, tool or position.")
    ),
    "chart-limits": CodeText(
        N_("Chart judged by other limits"), N_("From here on; no run of points reaches across the change.")
    ),
    "chart-dropped": CodeText(
        N_("Chart given up"), N_("The station has too many charts: the one unused for longest begins anew.")
    ),
    "agent-enrolled": CodeText(N_("Agent enrolled"), N_("The agent may deliver records.")),
    "document-issued": CodeText(N_("Document issued"), N_("A signed document was sent to the agents.")),
    "exception-opened": CodeText(N_("Exception opened"), N_("Something that a reviewer must look at.")),
    "discrepancy-opened": CodeText(N_("Discrepancy opened"), N_("Machine, records and ERP do not agree.")),
    "quarantined": CodeText(N_("Message in quarantine"), N_("A message could not be read and was set aside.")),
    "central-restored": CodeText(
        N_("Central restored from a backup"),
        N_("The agent sends again from there; what it no longer has is lost."),
    ),
    "watermark-refused": CodeText(
        N_("Watermark refused"), N_("Central's word on what it holds did not fit the agent's own chain.")
    ),
    "payload-refused": CodeText(
        N_("Message refused by the agent"), N_("A message to the agent could not be believed or read.")
    ),
    "record-damaged": CodeText(
        N_("Record damaged"), N_("A stored record no longer has its content; its hash stays in the chain.")
    ),
    "agent-doubled": CodeText(
        N_("Two agents with one identity"),
        N_("Both were heard. One of them was told not to send; it goes on recording."),
    ),
    "record-undeliverable": CodeText(
        N_("Record too large to be sent"),
        N_("The broker takes no message as large. It waits at the agent, and all that follows it, until it does."),
    ),
    "conflict": CodeText(N_("Two contents for one record"), N_("A record number came with another content.")),
    "erp-posted": CodeText(N_("Sent to the ERP"), N_("The ERP took the message.")),
    "erp-refused": CodeText(N_("ERP refused the booking"), N_("The ERP answered with an error.")),
    "erp-unreachable": CodeText(N_("ERP not reached"), N_("The ERP did not answer. It is tried again.")),
    "user-added": CodeText(N_("User added"), N_("A person was given an account.")),
    "user-disabled": CodeText(N_("User disabled"), N_("The account cannot be used any more.")),
    "account-locked": CodeText(N_("Account locked"), N_("Too many wrong passwords in a row.")),
    "password-changed": CodeText(N_("Password changed"), N_("The account was given a new password.")),
    "token-revoked": CodeText(N_("Token revoked"), N_("A program lost its access.")),
    "token-created": CodeText(N_("Token created"), N_("A program was given access.")),
    "signed-in": CodeText(N_("Signed in"), N_("A person signed in.")),
    "sign-in-refused": CodeText(N_("Sign-in refused"), N_("User or password were wrong, or it is closed.")),
    "signed-out": CodeText(N_("Signed out"), N_("A person signed out.")),
    "signature-refused": CodeText(N_("Signature refused"), N_("An attempt to sign was refused.")),
    "central-started": CodeText(N_("Central started"), N_("The central service began to work.")),
    "chain-verified": CodeText(N_("Chain verified"), N_("All stored records were checked against their chain.")),
    "export-imported": CodeText(
        N_("Records imported"), N_("An agent's records came from a file instead of over the network.")
    ),
    "backup-made": CodeText(N_("Backup made"), N_("Database, keys and anchors were copied, and the copy proven.")),
    "retention-applied": CodeText(
        N_("Retention applied"), N_("Content past its retention was given up; keys and hashes stay.")
    ),
    "backup-restored": CodeText(
        N_("Backup restored"), N_("A backup took the place of the database; the lines send again what it lacks.")
    ),
    "certificate-issued": CodeText(
        N_("Certificate issued"), N_("The agent was given a TLS certificate for its way to the broker.")
    ),
    "agent-revoked": CodeText(
        N_("Agent revoked"), N_("What this agent signs from now on is not believed; what it sent before stays.")
    ),
    "agent-key-changed": CodeText(
        N_("Agent has a new signing key"), N_("The former key is believed for 30 days more.")
    ),
    "central-key-changed": CodeText(
        N_("Central has a new signing key"), N_("The former key is believed for 30 days more.")
    ),
    "identity-renewed": CodeText(
        N_("Identity renewed"), N_("The agent took a new certificate or a new key into use.")
    ),
    "identity-warning": CodeText(
        N_("Identity needs a person"), N_("A certificate or key ends soon, and the agent cannot renew it itself.")
    ),
}
