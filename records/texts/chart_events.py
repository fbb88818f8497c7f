"""Events of control charts, and of what stands after their signals."""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import EventText, Said

TEXTS: Mapping[str, EventText] = {
    "spc-signal": EventText(
        Said("Control chart signal", "控制图报警"),
        Said("A rule of the control chart was met.", "触发了控制图的判异准则。"),
    ),
    "spc-subgroup": EventText(
        Said("Subgroup closed", "子组已关闭"),
        Said(
            "The verdict of a subgroup, on all of its pieces: its last reading is known.",
            "子组的判定，适用于其中所有产品：最后一个读数已知。",
        ),
    ),
    "chart-no-limits": EventText(
        Said("Chart without limits", "控制图没有控制限"),
        Said(
            "No limits are known for this product, revision, tool or position.",
            "此产品、版本、工装或位置没有已知的控制限。",
        ),
    ),
    "chart-limits": EventText(
        Said("Chart judged by other limits", "控制图改用其他控制限"),
        Said("From here on; no run of points reaches across the change.", "从此处开始；点的连串不跨越此变更。"),
    ),
    "chart-dropped": EventText(
        Said("Chart given up", "控制图已放弃"),
        Said(
            "The station has too many charts: the one unused for longest begins anew.",
            "工位的控制图过多：最久未使用的一个重新开始。",
        ),
    ),
    "reaction": EventText(
        Said("Reaction to a signal", "对信号的反应"),
        Said("What the reaction plan of the chart asks for was done.", "已执行控制图反应计划所要求的措施。"),
    ),
    "unit-held": EventText(
        Said("Unit held after a signal", "因报警信号扣留的产品"),
        Said("The station does not take these pieces any more.", "工位不再接受这些产品。"),
    ),
    "station-held": EventText(
        Said("Station held after a signal", "因报警信号停用的工位"),
        Said("The machine may not run until a person lifts the hold.", "在有人解除扣留之前，设备不得运行。"),
    ),
    "ran-while-held": EventText(
        Said("Worked on while held", "扣留期间仍被加工"),
        Said(
            "The machine ran although it was held, or a held piece was worked on.",
            "设备已被扣留而仍在运行，或被扣留的产品仍被加工。",
        ),
    ),
    "hold-dropped": EventText(
        Said("Hold dropped from the station's list", "扣留已从工位列表中移除"),
        Said(
            "Too much stood at the station: its oldest entry gave way. The records of it stand.",
            "工位上的未结项过多：最早的一项已移除。其记录仍然有效。",
        ),
    ),
    "hold-tag-left": EventText(
        Said("Tag of the hold left", "扣留所用变量已更换"),
        Said(
            "Another line file holds the station by another tag, or by none. "
            "An old one left set is taken back at the machine.",
            "另一产线文件用其他变量扣留该工位，或不用变量。若旧变量仍为置位，须在设备上复位。",
        ),
    ),
    "hold-locks-nothing": EventText(
        Said("Held, and nothing locks the machine", "已扣留，但设备未被锁定"),
        Said(
            "By its line file the station has neither a hold's tag nor a permit, or it is no longer there. "
            "See to it that the machine does not run.",
            "产线文件中该工位既无扣留变量也无许可，或该工位已不存在。请确保设备不运行。",
        ),
    ),
    "station-hold-lifted": EventText(
        Said("Hold of the station lifted", "工位扣留已解除"),
        Said("A person let the station go on, with a reason.", "有人给出理由后让工位继续运行。"),
    ),
    "unit-released-at-station": EventText(
        Said("Held unit released at the station", "被扣留的产品已在工位放行"),
        Said("A person let held pieces go on, with a reason.", "有人给出理由后放行了被扣留的产品。"),
    ),
    "alarm-acknowledged": EventText(
        Said("Alarm acknowledged", "报警已确认"),
        Said("A person has seen the alarm of a signal.", "有人已看到信号的报警。"),
    ),
    "chart-restarted": EventText(
        Said("Chart begun anew after a cause", "查明原因后重新开始的控制图"),
        Said(
            "A person began the chart anew: no run of points crosses this.",
            "有人重新开始了该控制图：任何连续点判异都不跨越此处。",
        ),
    ),
}
