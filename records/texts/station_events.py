"""Events of people, orders, material and runs at a station."""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import EventText, Said

TEXTS: Mapping[str, EventText] = {
    "scan-accepted": EventText(
        Said("Scan accepted", "扫码已接受"),
        Said("The station took the scan.", "工位已接受扫码。"),
    ),
    "scan-refused": EventText(
        Said("Scan refused", "扫码被拒绝"),
        Said("The station said no to the scan.", "工位拒绝了扫码。"),
    ),
    "operator-signed-on": EventText(
        Said("Operator signed on", "操作员上岗"),
        Said("A badge was scanned at the station.", "已在工位扫描工牌。"),
    ),
    "order-started": EventText(
        Said("Order started", "工单开工"),
        Said("The station works on this order from now on.", "工位从此按该工单作业。"),
    ),
    "order-stopped": EventText(
        Said("Order stopped", "工单停止"),
        Said("The station ended this order.", "工位结束了该工单。"),
    ),
    "lot-mounted": EventText(
        Said("Material lot mounted", "物料批次上线"),
        Said("From now on this lot is consumed.", "从此开始消耗该批次。"),
    ),
    "unit-loaded": EventText(
        Said("Unit loaded", "单件装入"),
        Said("The unit was put into a container.", "单件已放入容器。"),
    ),
    "anchor-kept": EventText(
        Said("Anchor of central kept", "已保存中央服务锚点"),
        Said(
            "What central said of its own chains stands in the agent's chain, too.",
            "中央服务对其记录链的声明也保存在代理的记录链中。",
        ),
    ),
    "document-too-old": EventText(
        Said("Instructions too old", "指令过期"),
        Said(
            "A document of central is older than the line allows, since central was not reached.",
            "由于无法连接中央服务，其下达的文件已超过产线允许的时效。",
        ),
    ),
    "document-fresh": EventText(
        Said("Instructions fresh again", "指令恢复有效"),
        Said(
            "A document that was too old is the newest again, or the station does not rely on it any more.",
            "曾过期的文件已确认为最新，或工位不再使用该文件。",
        ),
    ),
    "start-barred": EventText(
        Said("Start barred", "启动被阻止"),
        Said(
            "What central told the station stands against a start, or is to be warned of.",
            "中央服务下达给工位的信息不允许启动，或需要提醒。",
        ),
    ),
    "start-free": EventText(
        Said("Start free again", "启动恢复允许"),
        Said("This no longer stands against a start.", "该项不再阻止启动。"),
    ),
    "ran-while-barred": EventText(
        Said("Worked on although barred", "被阻止时仍被加工"),
        Said(
            "The machine ran although what central had told the station stood against a start.",
            "中央服务下达的信息不允许启动，设备仍然运行了。",
        ),
    ),
    "run-started": EventText(
        Said("Run started", "运行开始"),
        Said("The machine began a cycle.", "设备开始一个循环。"),
    ),
    "run-aborted": EventText(
        Said("Run aborted", "运行中止"),
        Said("A cycle was begun and not finished.", "循环已开始但未完成。"),
    ),
    "run-resumed": EventText(
        Said("Run resumed after a restart", "重启后继续运行"),
        Said("A cycle was taken up again.", "循环已接续。"),
    ),
    "cycles-missed": EventText(
        Said("Machine cycles without a record", "设备循环无记录"),
        Said("The machine worked unrecorded.", "设备在未记录的情况下运行。"),
    ),
    "counter-period": EventText(
        Said("Counter began anew", "计数器重新开始"),
        Said("The machine's counter was reset or changed.", "设备计数器被复位或更改。"),
    ),
    "counter-wrapped": EventText(
        Said("Counter came to its end", "计数器已到终点"),
        Said(
            "The machine's counter went on at its beginning; none was left out unsaid.",
            "设备计数器到达终点后从头继续；遗漏的周期均已说明。",
        ),
    ),
    "cycle-acknowledged-only": EventText(
        Said("Cycle acknowledged again", "循环再次确认"),
        Said("A cycle that was already recorded was acknowledged to the machine.", "已记录的循环再次向设备确认。"),
    ),
}
