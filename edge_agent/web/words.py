"""The page's texts. The English ones are the keys; what a record, a tag or a device says is never translated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LANGUAGES: Mapping[str, str] = {"en": "English", "zh-CN": "中文"}

CHINESE: Mapping[str, str] = {
    "Status of %(agent)s": "%(agent)s 状态",
    "Lotkeeper agent": "Lotkeeper 代理",
    "To the content": "转到内容",
    "Language": "语言",
    "running since %(time)s": "自 %(time)s 起运行",
    "The agent does not answer. What stands here is old.": "代理没有响应。此处内容已过时。",
    "The buffer cannot be read: %(error)s": "无法读取缓冲区：%(error)s",
    "The line file on disk is refused; the agent works by the one before: %(problem)s": (
        "磁盘上的产线文件被拒绝；代理仍按之前的文件工作：%(problem)s"
    ),
    "line file not approved: set-up runs only": "产线文件未批准：仅限调试运行",
    "another line file from the end of this run on": "本次运行结束后改用另一产线文件",
    # figures
    "Devices": "设备",
    "%(here)s of %(all)s connected": "已连接 %(here)s / %(all)s",
    "Waiting for central": "等待中央服务确认",
    "oldest %(age)s": "最早 %(age)s 前",
    "nothing waits": "无等待记录",
    "Records committed": "已提交记录",
    "%(count)s acknowledged": "已确认 %(count)s",
    "Polls late": "延迟轮询",
    "of %(count)s, %(skipped)s skipped": "共 %(count)s，跳过 %(skipped)s",
    # devices
    "Connected": "已连接",
    "Away": "未连接",
    "Tag": "标签",
    "Value": "值",
    "Quality": "质量",
    "Age": "时效",
    "good": "良好",
    "uncertain": "不确定",
    "bad": "坏值",
    "not read": "未读取",
    "%(values)s values in %(polls)s polls, %(late)s late, %(skipped)s skipped": (
        "%(polls)s 次轮询共 %(values)s 个值，延迟 %(late)s，跳过 %(skipped)s"
    ),
    "Scanner": "扫码器",
    "This line has no devices with tags.": "此产线没有带标签的设备。",
    # stations
    "Stations": "工位",
    "Station": "工位",
    "State": "状态",
    "Order": "工单",
    "Operator": "操作员",
    "Cycle": "循环",
    "Missing": "缺少",
    "nothing": "无",
    "This line has no stations: nothing is recorded of operations.": "此产线没有工位：不记录任何工序。",
    "start": "启动",
    "idle": "空闲",
    "capturing": "采集中",
    "answering": "应答中",
    "waiting": "等待",
    "releasing": "释放中",
    "order": "工单",
    "operator": "操作员",
    "route": "工艺路线",
    "subject": "产品",
    # central and buffer
    "Buffer and central": "缓冲区与中央服务",
    "Central": "中央服务",
    "Not connected": "未连接",
    "Broker": "MQTT 服务器",
    "Last record": "最后一条记录",
    "Central has": "中央服务已有",
    "On this disk": "本机磁盘",
    "%(count)s records, %(size)s": "%(count)s 条记录，%(size)s",
    "Sent": "已发送",
    "%(sent)s frames, %(again)s of them again": "%(sent)s 帧，其中重发 %(again)s",
    "Captured for runs": "为工序采集",
    "%(count)s values": "%(count)s 个值",
    "%(values)s values: %(committed)s committed, %(thinned)s thinned, %(lost)s lost": (
        "%(values)s 个值：已提交 %(committed)s，稀释 %(thinned)s，丢失 %(lost)s"
    ),
    "%(chunks)s chunks, %(acknowledged)s acknowledged, %(up)s given up": (
        "%(chunks)s 个数据块，已确认 %(acknowledged)s，已放弃 %(up)s"
    ),
    "%(count)s more tags: lotkeeper-edge status shows all.": (
        "另有 %(count)s 个标签：用 lotkeeper-edge status 查看全部。"
    ),
    "Configuration": "配置",
    "Software": "软件",
    # records
    "Last records": "最近记录",
    "Record": "记录",
    "Time": "时间",
    "What": "内容",
    "Run": "工序运行",
    "Event": "事件",
    "Decision": "决定",
    "Epoch opened": "新纪元",
    "Telemetry": "遥测",
    "pass": "合格",
    "fail": "不合格",
    "scrap": "报废",
    "not judged": "未判定",
    "aborted": "中止",
    "mixed": "不一致",
    "Nothing has been recorded yet.": "尚无记录。",
    # tests
    "Try a scan": "扫码测试",
    "Barcode": "条码",
    "As the scanner sends it. The group separator is typed <GS>. No station is told.": (
        "按扫码器发送的内容输入。分隔符输入为 <GS>。不会通知任何工位。"
    ),
    "Explain": "解析",
    "Valid": "有效",
    "Not valid": "无效",
    "Field": "字段",
    "Scan at": "扫码于",
    "takes it": "接受",
    "refuses it": "拒绝",
    "belongs to no field": "不属于任何字段",
    "expected %(what)s": "期望 %(what)s",
    "found %(what)s": "实际 %(what)s",
    "Read a tag": "读取标签",
    "Read now": "立即读取",
    "Reads the machine once, now, through the session that is open.": "通过当前会话立即读取设备一次。",
    "Source time": "源时间",
    "Read at": "读取时间",
    "Status": "状态码",
}


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: str

    def __call__(self, message: str, **params: object) -> str:
        """The message in this language; ``params`` fill its ``%(name)s`` places."""
        text = CHINESE.get(message, message) if self.language == "zh-CN" else message
        return text % params if params else text


def preferred(asked: str | None, accept_language: str | None) -> Words:
    """The language asked for in the address; else the browser's first that we have; else English."""
    for name in (asked or "", *_by_weight(accept_language or "")):
        if name.lower().startswith("zh"):
            return Words("zh-CN")
        if name.lower().startswith("en"):
            return Words("en")
    return Words("en")


def _by_weight(header: str) -> list[str]:
    """Language ranges of an Accept-Language header, most wanted first; nonsense weighs nothing."""
    ranked: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((float(weight) if weight else 1.0, name))
        except ValueError:
            ranked.append((0.0, name))
    return [name for _, name in sorted(ranked, key=lambda pair: -pair[0])]
