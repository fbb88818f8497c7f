"""What is wrong with a message to central, which is why it lies in quarantine, by code.

As in ``records.texts.troubles``. What a parser says, and of which record a body is none, stays quoted in English.
"""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import Said

MESSAGE_TROUBLES: Mapping[str, Said] = {
    # who sent it, and where
    "agent-not-enrolled": Said("%(agent)s is not enrolled", "%(agent)s 未注册"),
    "no-such-topic": Said("no such topic", "没有此主题"),
    "frame-of-another": Said("the frame is of %(agent)s, %(stream)s", "该数据帧属于 %(agent)s（%(stream)s）"),
    "head-of-another": Said("a head of %(agent)s, %(stream)s", "该链头属于 %(agent)s（%(stream)s）"),
    "epoch-begins-otherwise": Said("the epoch does not begin as epochs do", "该记录序列的开头与规定不符"),
    # signatures
    "signature-by-unknown-key": Said(
        "signature by key %(key)s, which is not a known key of %(owner)s",
        "由密钥 %(key)s 签名，而它不是 %(owner)s 的已知密钥",
    ),
    "enrol-or-give-key": Said(
        "enrol the agent, or give it central's present public key", "请注册该代理，或把中央服务当前的公钥交给它"
    ),
    "signature-by-ended-key": Said(
        "key %(key)s of %(owner)s is not valid any more", "%(owner)s 的密钥 %(key)s 已不再有效"
    ),
    "enrol-again": Said("enrol again", "请重新注册"),
    "signature-wrong": Said(
        "the signature by key %(key)s of %(owner)s is wrong", "%(owner)s 用密钥 %(key)s 作出的签名不正确"
    ),
    "frame-other-head": Said(
        "frame %(frame)s: its bodies do not give its head",
        "数据帧 %(frame)s：其内容与链头不符",
    ),
    # the bytes
    "frame-too-large": Said(
        "a payload of %(size)s bytes is over the limit of %(most)s", "载荷为 %(size)s 字节，超过上限 %(most)s"
    ),
    "no-frame": Said(
        "the payload is no Lotkeeper frame (it does not begin with LKF1)",
        "载荷不是 Lotkeeper 数据帧（不以 LKF1 开头）",
    ),
    "frame-header-wrong": Said(
        "the frame's header is wrong: %(place)s: %(said)s", "数据帧的帧头有误：%(place)s：“%(said)s”"
    ),
    "frame-numbers-wrong": Said(
        "the frame's first and last do not fit its number of records", "数据帧的首末编号与其记录数不符"
    ),
    "frame-schema-wrong": Said(
        "the frame's header holds a schema or a length that cannot be", "数据帧的帧头含有不可能的版本或长度"
    ),
    "frame-entry-empty": Said(
        "a frame entry has neither body nor tombstone", "数据帧中有一项既无内容，也未标明内容已移除"
    ),
    "frame-lengths-wrong": Said(
        "the frame's bodies do not have the lengths that its header tells", "数据帧内容的长度与帧头所述不符"
    ),
    "frame-signature-unreadable": Said("the frame's signature is no base64", "数据帧的签名不是 base64"),
    "frame-hash-wrong": Said(
        "a hash in the frame is not 64 hexadecimal digits", "数据帧中有一个哈希不是 64 位十六进制数"
    ),
    "frame-encoding-unknown": Said(
        "frame encoding %(encoding)s is unknown (central is older than the agent)",
        "数据帧的编码 %(encoding)s 未知（中央服务的版本比代理旧）",
    ),
    "frame-unpacks-too-large": Said(
        "a compressed frame must say that it unpacks to at most %(most)s bytes, not %(size)s",
        "压缩的数据帧必须声明解压后至多 %(most)s 字节，实为 %(size)s",
    ),
    "frame-not-unpacked": Said(
        "the compressed frame cannot be unpacked: %(said)s", "压缩的数据帧无法解压：“%(said)s”"
    ),
    "not-signed-so": Said("the payload is no signed %(purpose)s", "载荷不是已签名的 %(purpose)s"),
    # a record that was committed and that nobody here can read
    "record-kind-unknown": Said("unknown record kind %(kind)s", "未知的记录种类 %(kind)s"),
    "known-kinds": Said("known kinds: %(known)s", "已知种类：%(known)s"),
    "body-of-no-kind": Said("the body is no %(kind)s: %(said)s", "内容不是 %(kind)s：“%(said)s”"),
}
