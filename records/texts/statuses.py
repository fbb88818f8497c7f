"""What a bad reading's status means to the person who sees it, and where to look."""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import Said

STATUSES: Mapping[str, Said] = {
    "BadNodeIdUnknown": Said(
        "the server has no such node; lotkeeper-edge browse lists what it has",
        "服务器没有该节点；lotkeeper-edge browse 可列出其节点",
    ),
    "BadNamespaceUnknown": Said(
        "the server has no such namespace; lotkeeper-edge browse lists what it has",
        "服务器没有该命名空间；lotkeeper-edge browse 可列出其命名空间",
    ),
    "BadNoMatch": Said(
        "the browse path leads nowhere; lotkeeper-edge browse lists what the server has",
        "浏览路径没有结果；lotkeeper-edge browse 可列出服务器的内容",
    ),
    "BadIndexRangeNoData": Said("the array is shorter than array_index", "数组长度小于 array_index"),
    "BadUserAccessDenied": Said("this user may not read it", "该用户无权读取"),
    "BadNotReadable": Said("the server does not let it be read", "服务器不允许读取"),
    "BadTypeMismatch": Said(
        "the machine has another type there than the line file says", "设备上的数据类型与产线文件不符"
    ),
    "BadNoData": Said("the machine gave no value", "设备没有给出数值"),
    "BadNotFinite": Said("NaN or infinity is no value", "NaN 或无穷大不是有效数值"),
    "BadNotText": Said("the bytes are no text; is data_type right?", "这些字节不是文本；data_type 是否正确？"),
    "BadNotBcd": Said(
        "a digit is above 9; is it BCD, and is byte_order right?",
        "有数字大于 9；是否为 BCD，byte_order 是否正确？",
    ),
    "BadNotListed": Said("the enumeration gives this number no name", "枚举中没有该数字的名称"),
    "BadSentinel": Said(
        "the number by which the machine says that it has no value (invalid)",
        "设备用该数字表示没有数值（invalid）",
    ),
    "BadTorn": Said(
        "the machine changed values while they were read, each time they were", "每次读取时设备都在更改这些数值"
    ),
    "BadNotConnected": Said("the device is not connected", "设备未连接"),
    "BadStale": Said("it was not read or told anew for too long", "过久没有重新读取或收到新值"),
    "BadIllegalFunction": Said(
        "the device does not know this register table (exception 1)", "设备不支持该寄存器类型（异常码 1）"
    ),
    "BadIllegalAddress": Said(
        "the device has no such register (exception 2); look at address and address_base",
        "设备没有该寄存器（异常码 2）；请检查 address 和 address_base",
    ),
    "BadIllegalValue": Said(
        "the device refuses this request (exception 3); try one_request_per_tag: true",
        "设备拒绝该请求（异常码 3）；可尝试 one_request_per_tag: true",
    ),
    "BadGatewayPath": Said(
        "the gateway has no way to this unit (exception 10); is unit_id right?",
        "网关没有到该从站的路径（异常码 10）；unit_id 是否正确？",
    ),
    "BadGatewayNoResponse": Said(
        "the unit behind the gateway does not answer (exception 11)", "网关后的从站没有应答（异常码 11）"
    ),
}
"""Statuses of our own (``drivers.status``) and the common ones of OPC UA; another stands for itself."""


def status_text(status: str, language: str) -> str | None:
    """In words; None for one that has none."""
    said = STATUSES.get(status)
    return None if said is None else said.in_language(language)
