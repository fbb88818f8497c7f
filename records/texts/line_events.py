"""Events of an agent, its devices, its buffer and its identity."""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import EventText, Said

TEXTS: Mapping[str, EventText] = {
    "agent-started": EventText(
        Said("Agent started", "代理启动"),
        Said("The agent began to work.", "代理开始工作。"),
    ),
    "agent-stopped": EventText(
        Said("Agent stopped", "代理停止"),
        Said("The agent ended in order.", "代理正常结束。"),
    ),
    "configuration-loaded": EventText(
        Said("Configuration loaded", "配置已加载"),
        Said("The agent works by this configuration.", "代理按此配置工作。"),
    ),
    "configuration-refused": EventText(
        Said("Configuration refused", "配置被拒绝"),
        Said(
            "The line file is wrong or needs a restart. The agent works as before.",
            "产线文件有误或需要重启。代理按原配置继续工作。",
        ),
    ),
    "station-configured": EventText(
        Said("Station works by another configuration", "工位改用另一配置"),
        Said(
            "From here on the station's records are made by the new configuration.",
            "此后该工位的记录按新配置生成。",
        ),
    ),
    "configuration-not-approved": EventText(
        Said("Configuration not approved", "配置未经批准"),
        Said(
            "The agent makes production runs only by approved line files: from here on the runs are set-up.",
            "该代理只能按已批准的产线文件进行生产运行：此后的运行均为调试。",
        ),
    ),
    "configuration-approved": EventText(
        Said("Configuration approved", "配置已批准"),
        Said("From here on the station's runs are what the machine says.", "此后该工位的运行以机器所示为准。"),
    ),
    "device-connected": EventText(
        Said("Device connected", "设备已连接"),
        Said("The device answers.", "设备有应答。"),
    ),
    "device-lost": EventText(
        Said("Device lost", "设备失联"),
        Said("The device does not answer any more.", "设备不再应答。"),
    ),
    "device-changed": EventText(
        Said("Device changed", "设备更换"),
        Said("Another device answers at this address.", "该地址由另一设备应答。"),
    ),
    "clock-jump": EventText(
        Said("Clock jumped", "时钟跳变"),
        Said("The clock of the line PC was moved.", "产线电脑的时钟被调整。"),
    ),
    "plc-write": EventText(
        Said("Value written to the PLC", "已写入 PLC"),
        Said("A value was written to the machine.", "已向设备写入一个数值。"),
    ),
    "reading-bad": EventText(
        Said("Value of bad quality", "数值无效"),
        Said("The machine did not give a usable value.", "设备未给出可用数值。"),
    ),
    "reading-stale": EventText(
        Said("Value too old", "数值过旧"),
        Said("The machine told no fresh value for too long.", "设备过久没有给出新数值。"),
    ),
    "samples-lost": EventText(
        Said("Samples lost", "采样丢失"),
        Said(
            "Values between two readings were lost before the agent could take them.",
            "两次读取之间的数值在代理取得之前已丢失。",
        ),
    ),
    "server-certificate": EventText(
        Said("Certificate of a machine seen", "首次见到设备证书"),
        Said("The OPC UA server showed this certificate for the first time.", "OPC UA 服务器首次出示该证书。"),
    ),
    "certificate-expires": EventText(
        Said("Certificate ends soon", "证书即将到期"),
        Said(
            "This OPC UA certificate ends within a month; after that the connection is refused.",
            "该 OPC UA 证书将在一个月内到期；到期后连接将被拒绝。",
        ),
    ),
    "device-identity": EventText(
        Said("Device told who it is", "设备报告了自身身份"),
        Said("Maker, model, serial number and firmware.", "制造商、型号、序列号和固件。"),
    ),
    "settings-revised": EventText(
        Said("Server changed a setting", "服务器更改了设置"),
        Said(
            "The OPC UA server reads or queues otherwise than it was asked to.",
            "OPC UA 服务器的采样或排队方式与请求不同。",
        ),
    ),
    "clock-skew": EventText(
        Said("Clock of a machine is wrong", "设备时钟有误"),
        Said("The machine's clock is far from that of the line PC.", "设备时钟与产线电脑的时钟相差很大。"),
    ),
    "polls-late": EventText(
        Said("Reading falls behind", "读取跟不上"),
        Said("The machine is read more slowly than the line file asks for.", "读取设备的速度慢于产线文件的要求。"),
    ),
    "polls-on-time": EventText(
        Said("Reading keeps up again", "读取恢复正常"),
        Said("The machine is read as often as asked for.", "设备按要求的频率被读取。"),
    ),
    "telemetry-thinned": EventText(
        Said("Trend data thinned", "趋势数据被稀释"),
        Said(
            "Room for trend data ran low: of the oldest their extremes are kept, or they gave way whole.",
            "趋势数据的存储空间不足：最早的数据只保留极值，或整块被舍弃。",
        ),
    ),
    "telemetry-lost": EventText(
        Said("Trend data lost", "趋势数据丢失"),
        Said(
            "Values of trend data could not be kept. Records are not concerned.",
            "趋势数据的数值未能保存。生产记录不受影响。",
        ),
    ),
    "epoch-rolled-back": EventText(
        Said("Disk rolled back", "磁盘回滚"),
        Said("The agent's disk holds an older state.", "代理的磁盘处于较旧的状态。"),
    ),
    "central-restored": EventText(
        Said("Central restored from a backup", "中央服务已从备份恢复"),
        Said(
            "The agent sends again from there; what it no longer has is lost.",
            "代理从该处重新发送；其已不再保存的内容丢失。",
        ),
    ),
    "watermark-refused": EventText(
        Said("Watermark refused", "水位标记被拒绝"),
        Said(
            "Central's word on what it holds did not fit the agent's own chain.",
            "中央服务声明的存储位置与代理自身的记录链不符。",
        ),
    ),
    "payload-refused": EventText(
        Said("Message refused by the agent", "代理拒绝消息"),
        Said("A message to the agent could not be believed or read.", "发给代理的消息无法验证或读取。"),
    ),
    "record-damaged": EventText(
        Said("Record damaged", "记录损坏"),
        Said(
            "A stored record no longer has its content; its hash stays in the chain.",
            "已存储记录的内容已不存在，其哈希仍在链中。",
        ),
    ),
    "backlog-damaged": EventText(
        Said("Records could not be stored again", "记录无法重新保存"),
        Said(
            "The disk altered records that central does not have; they stay behind in the buffer's file.",
            "磁盘更改了中央服务尚未收到的记录；这些记录留在缓冲区文件中，不再发送。",
        ),
    ),
    "record-undeliverable": EventText(
        Said("Record too large to be sent", "记录过大，无法发送"),
        Said(
            "The broker takes no message as large. It waits at the agent, and all that follows it, until it does.",
            "消息代理不接受这么大的消息。该记录及其后的全部记录在代理处等待，直到可以接受为止。",
        ),
    ),
    "identity-renewed": EventText(
        Said("Identity renewed", "身份已更新"),
        Said("The agent took a new certificate or a new key into use.", "代理启用了新的证书或新的密钥。"),
    ),
    "identity-warning": EventText(
        Said("Identity needs a person", "身份需要人工处理"),
        Said(
            "A certificate or key ends soon, and the agent cannot renew it itself.",
            "证书或密钥即将到期，代理无法自行更新。",
        ),
    ),
    "agent-doubled": EventText(
        Said("Two agents with one identity", "两个代理使用同一身份"),
        Said(
            "Both were heard. One of them was told not to send; it goes on recording.",
            "两者都有通信。已通知其中一个停止发送；它仍继续记录。",
        ),
    ),
    "buffer-low": EventText(
        Said("Buffer runs low", "缓冲区空间不足"),
        Said(
            "The agent can record for so many hours more without central.",
            "在没有中央服务的情况下，代理还可记录这么多小时。",
        ),
    ),
    "buffer-full": EventText(
        Said("Buffer full", "缓冲区已满"),
        Said(
            "The line was stopped: the agent may keep no more until central takes records.",
            "产线已停止：在中央服务取走记录之前，代理不能再保存。",
        ),
    ),
    "disk-full": EventText(
        Said("Disk full", "磁盘已满"),
        Said(
            "The line was stopped: the disk of the line PC has no room for records.",
            "产线已停止：产线电脑的磁盘没有空间保存记录。",
        ),
    ),
    "buffer-room": EventText(
        Said("Room in the buffer again", "缓冲区又有空间"),
        Said("The line may go on.", "产线可以继续。"),
    ),
    "buffer-damaged": EventText(
        Said("Buffer damaged", "缓冲区已损坏"),
        Said(
            "The agent's background check met something in its buffer that does not prove itself.",
            "代理的后台检查在其缓冲区中发现无法自证的内容。",
        ),
    ),
    "clock-offset": EventText(
        Said("Clock of the agent is wrong", "代理的时钟有误"),
        Said("The line PC's clock is far from that of central.", "产线电脑的时钟与中央服务相差过大。"),
    ),
    "clock-agrees": EventText(
        Said("Clock of the agent is right again", "代理的时钟恢复正确"),
        Said("The line PC's clock agrees with that of central.", "产线电脑的时钟与中央服务一致。"),
    ),
    "buffer-set-aside": EventText(
        Said("File of the buffer set aside", "缓冲区文件已另行保存"),
        Said(
            "A start found a file in the agent's buffer that is damaged or of another agent, and keeps it beside. "
            "Records that wait in it come to central only by a person.",
            "代理启动时在缓冲区发现已损坏或属于其他代理的文件，并另行保存。其中等待的记录须由人员送交中央服务。",
        ),
    ),
}
