"""What is wrong with a device, by code: why it is away, or did not take what was written to it.

A driver tells a ``Trouble`` (``records.trouble``): one of these codes, and what fills the places of its text. What
a library or the operating system says stands in it as it was said.
"""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import Said

TROUBLES: Mapping[str, Said] = {
    # what may stand behind a device's name
    "away": Said("%(where)s: %(why)s", "%(where)s：%(why)s"),
    "not-connected": Said("not connected", "未连接"),
    "not-connected-yet": Said("not connected yet", "尚未连接"),
    "said-by-system": Said("%(said)s", "系统报告“%(said)s”"),
    "said-by-library": Said("%(said)s", "通信库报告“%(said)s”"),
    # networks
    "connection-refused": Said(
        "nothing listens there (connection refused)", "该地址和端口没有程序监听（连接被拒绝）"
    ),
    "no-route": Said("no way leads there (no route to host)", "网络不可达（没有到该主机的路由）"),
    "connection-reset": Said("the other side broke the connection off", "对方中断了连接"),
    "no-connection-in-time": Said("no connection in time", "未在限定时间内建立连接"),
    "no-answer-in-time": Said("no answer in time", "未在限定时间内应答"),
    "no-answer-within": Said("no answer in %(limit)s s", "%(limit)s 秒内无应答"),
    "connection-closed": Said("the connection was closed", "连接已关闭"),
    "connection-lost": Said("the connection was lost", "连接已中断"),
    "connection-lost-by": Said("the connection was lost (%(why)s)", "连接已中断（%(why)s）"),
    "check-server": Said(
        "check cable, address and port, and that the server runs", "请检查网线、地址和端口，以及服务器是否在运行"
    ),
    "check-device": Said(
        "check cable, address and port, and that the device runs", "请检查网线、地址和端口，以及设备是否在运行"
    ),
    # OPC UA
    "server-answers": Said("the server answers %(status)s", "服务器返回 %(status)s"),
    "session-ended": Said("the server has ended the session (%(status)s)", "服务器已结束会话（%(status)s）"),
    "session-refused": Said("%(where)s refuses the session: %(why)s", "%(where)s 拒绝会话：%(why)s"),
    "sessions-full": Said("%(where)s takes no more sessions: %(why)s", "%(where)s 不再接受会话：%(why)s"),
    "fewer-sessions": Said(
        "end another client, or allow more sessions there", "请结束其他客户端，或在服务器上允许更多会话"
    ),
    "login-refused": Said("%(where)s does not let %(user)s in: %(why)s", "%(where)s 不允许%(user)s登录：%(why)s"),
    "named-user": Said("%(name)s", "用户 %(name)s "),
    "anonymous": Said("anonymous", "匿名用户"),
    "certificate-of-user": Said("the user's certificate", "用户证书"),
    "check-login": Said("check auth, and the user there", "请检查 auth 设置，以及服务器上的该用户"),
    "no-endpoint": Said("%(where)s offers no endpoint with %(channel)s", "%(where)s 不提供 %(channel)s 的端点"),
    "offers-none": Said("offers no endpoint with %(channel)s", "不提供 %(channel)s 的端点"),
    "offers": Said("it offers %(offers)s", "它提供 %(offers)s"),
    "not-opcua": Said(
        "%(where)s: does not answer as an OPC UA server (%(said)s)", "%(where)s：应答不符合 OPC UA（“%(said)s”）"
    ),
    "server-not-running": Said(
        "%(where)s: the server does not run, it says %(state)s",
        "%(where)s：服务器未处于运行状态，其状态为 %(state)s",
    ),
    "asked-too-much": Said(
        "%(where)s: %(why)s; from now on at most %(nodes)s nodes in a request",
        "%(where)s：%(why)s；此后每次请求最多 %(nodes)s 个节点",
    ),
    "subscription-ended": Said(
        "%(where)s: the subscription ended (%(said)s)", "%(where)s：订阅已结束（“%(said)s”）"
    ),
    "not-understood": Said(
        "%(where)s: its answer cannot be understood (%(said)s)", "%(where)s：无法理解其应答（“%(said)s”）"
    ),
    # certificates
    "own-certificate-refused": Said(
        "%(where)s does not take our certificate: %(why)s", "%(where)s 不接受本机的证书：%(why)s"
    ),
    "ended-at-its-sight": Said("it ended the connection at its sight", "对方收到证书后中断了连接"),
    "trust-ours": Said(
        "trust the certificate %(fingerprint)s at the server; it often lies among the rejected",
        "请在服务器上信任证书 %(fingerprint)s；它通常在被拒绝的证书之中",
    ),
    "own-certificate-ended": Said("our certificate expired on %(day)s", "本机的证书已于 %(day)s 到期"),
    "user-certificate-ended": Said("the user's certificate expired on %(day)s", "用户证书已于 %(day)s 到期"),
    "renew-own-certificate": Said(
        "lotkeeper-edge certificate create LINE.yaml --replace",
        "lotkeeper-edge certificate create LINE.yaml --replace",
    ),
    "renew-user-certificate": Said("auth needs a new one", "auth 需要新的证书"),
    "another-certificate": Said(
        "its certificate is %(seen)s (%(name)s), not the %(wanted)s of the tag map",
        "其证书为 %(seen)s（%(name)s），不是变量表中的 %(wanted)s",
    ),
    "another-server": Said(
        "another server answers, or it has a new certificate; if that is meant: %(line)s",
        "应答的是另一台服务器，或其证书已更换；如属预期，请写入 %(line)s",
    ),
    "certificate-not-trusted": Said(
        "its certificate %(seen)s (%(name)s) is not trusted: %(why)s",
        "其证书 %(seen)s（%(name)s）不受信任：%(why)s",
    ),
    "not-in-trust-list": Said(
        "nothing in the trust list stands for it (issued by %(issuer)s)",
        "信任列表中没有可证明它的证书（颁发者 %(issuer)s）",
    ),
    "revoked": Said("%(name)s was revoked by %(issuer)s", "%(name)s 已被 %(issuer)s 吊销"),
    "authority-not-valid": Said("its authority %(issuer)s is not valid now", "其颁发者 %(issuer)s 目前无效"),
    "put-into-trust-list": Said(
        "compare it with the one at the server, then put it into %(folder)s",
        "请与服务器上的证书核对，然后放入 %(folder)s",
    ),
    "certificate-not-named": Said(
        "nothing says that its certificate is to be trusted: %(seen)s (%(name)s, valid until %(until)s)",
        "没有设置信任其证书：%(seen)s（%(name)s，有效期至 %(until)s）",
    ),
    "name-certificate": Said(
        "compare it with the one shown at the server, then write %(line)s",
        "请与服务器上显示的证书核对，然后写入 %(line)s",
    ),
    "certificate-not-accepted": Said(
        "its certificate %(seen)s is not accepted: %(why)s", "其证书 %(seen)s 不被接受：%(why)s"
    ),
    "right-certificate": Said(
        "give the server a right certificate, or write accept: [%(codes)s]",
        "请为服务器换上正确的证书，或写入 accept: [%(codes)s]",
    ),
    "expired": Said("it expired on %(day)s", "已于 %(day)s 到期"),
    "not-valid-yet": Said(
        "it is valid only from %(day)s (is our clock right?)", "自 %(day)s 起才有效（本机时钟是否正确？）"
    ),
    "other-application": Said(
        "it is for the application %(own)s, the server calls itself %(uri)s",
        "证书属于应用 %(own)s，而服务器自称 %(uri)s",
    ),
    "other-host": Said("it is not for the host %(host)s", "证书不适用于主机 %(host)s"),
    "key-may-not-sign": Said(
        "its key may not be used to sign and to encrypt keys", "其密钥不允许用于签名和密钥加密"
    ),
    "no-server-certificate": Said("it is no certificate of a server", "不是服务器证书"),
    "short-key": Said("its key has only %(bits)s bits", "其密钥只有 %(bits)s 位"),
    "weak-signature": Said("it is signed with %(hash)s", "其签名算法为 %(hash)s"),
    "tls-not-accepted": Said("its certificate is not accepted (%(said)s)", "其证书不被接受（“%(said)s”）"),
    "tls-files": Said("its certificates cannot be used (%(why)s)", "无法使用为其设置的证书（%(why)s）"),
    # Modbus
    "no-answer": Said("no answer (time-out %(limit)s s)", "无应答（限时 %(limit)s 秒）"),
    "no-sense": Said(
        "no answer, what came was none (time-out %(limit)s s)", "收到的内容不是应答（限时 %(limit)s 秒）"
    ),
    "asked-again": Said("no answer; it is asked again in %(rest)s s", "无应答；%(rest)s 秒后重试"),
    "gateway-silent": Said(
        "the gateway cannot reach the unit (exception %(exception)s)", "网关无法访问该从站（异常码 %(exception)s）"
    ),
    "other-unit": Said(
        "unit %(found)s answered instead of unit %(unit)s", "应答的是从站 %(found)s，而不是从站 %(unit)s"
    ),
    "other-shape": Said(
        "the answer has another length or function than the request asked for", "应答的长度或功能码与请求不符"
    ),
    "not-modbus": Said("what came is not Modbus TCP", "收到的内容不是 Modbus TCP"),
    "nobody-answered": Said("nobody answered", "没有任何应答"),
    "check-unit": Said("check that the device runs and unit_id", "请检查设备是否在运行，以及 unit_id"),
    "check-line": Said(
        "check wiring, baudrate, parity, stopbits and unit_id", "请检查接线、波特率、校验位、停止位和 unit_id"
    ),
    "perhaps-written": Said(
        "%(why)s; the value may or may not have arrived", "%(why)s；数值可能已写入，也可能没有"
    ),
    # serial ports
    "no-such-port": Said("no such port", "没有该端口"),
    "no-right": Said("no right to open it", "没有打开该端口的权限"),
    "port-in-use": Said("another program holds it", "该端口被另一程序占用"),
    "port-gone": Said("the port is gone", "该端口已断开"),
    "check-port": Said(
        "check that the port exists and that no other program holds it", "请检查端口是否存在，是否被其他程序占用"
    ),
    "check-scanner": Said(
        "is it plugged in, may this user read it, does another program hold it?",
        "是否已插好？当前用户是否有读取权限？是否被其他程序占用？",
    ),
    "unplugged": Said("was it unplugged?", "是否被拔出？"),
    "not-open": Said("not open", "未打开"),
    "scan-unanswered": Said("%(why)s, the scan stays unanswered", "%(why)s，该次扫码没有应答"),
    "no-pause": Said("sends without a pause", "不停地发送数据"),
    "noise": Said("noise on the line, or a wrong baud rate?", "线路有干扰，还是波特率不对？"),
    # writes
    "write-refused": Said(
        "%(where)s refused to write %(tag)s: %(status)s", "%(where)s 拒绝写入 %(tag)s：%(status)s"
    ),
    "read-refused": Said(
        "%(where)s refused to read %(tag)s: %(status)s", "%(where)s 拒绝读取 %(tag)s：%(status)s"
    ),
    "no-node": Said(
        "%(where)s has no node for %(tag)s (%(status)s)", "%(where)s 没有 %(tag)s 的节点（%(status)s）"
    ),
    "other-value": Said(
        "%(where)s took %(value)s for %(tag)s, but holds %(held)s (%(status)s)",
        "%(where)s 接受了 %(tag)s 的值 %(value)s，但实际为 %(held)s（%(status)s）",
    ),
    "machine-writes-too": Said("does the machine write this %(place)s too?", "设备是否也在写入该%(place)s？"),
    "address": Said("address", "地址"),
    "node": Said("node", "节点"),
}
