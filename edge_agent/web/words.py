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
    "The line is stopped: the buffer is full until central takes records. See to the way to central; the agent "
    "goes on by itself.": "产线已停止：缓冲区已满，须等中央服务取走记录。请检查与中央服务的连接；代理将自动继续。",
    "The line is stopped: the disk with %(path)s is full, %(free)s are free. Free space on it; the agent goes on "
    "by itself.": ("产线已停止：%(path)s 所在磁盘已满，剩余 %(free)s。请释放磁盘空间；代理将自动继续。"),
    "Central is not reached: what is recorded waits here until it is.": (
        "无法连接中央服务：记录暂存于本机，直到恢复连接。"
    ),
    "What stands in the way: %(error)s": "原因：%(error)s",
    "Records are not sent to central: %(error)s": "记录未发送到中央服务：%(error)s",
    "The broker is asked for the first time.": "正在首次连接 MQTT 服务器。",
    "The buffer lasts for about %(hours)s h more without central; then the line is stopped. "
    "See to the way to central.": (
        "没有中央服务时，缓冲区还能维持约 %(hours)s 小时；之后产线将停止。请检查与中央服务的连接。"
    ),
    "The buffer does not hold what it should: %(problem)s. Run lotkeeper-edge buffer verify, and keep the disk.": (
        "缓冲区内容有误：%(problem)s。请运行 lotkeeper-edge buffer verify，并保留磁盘。"
    ),
    "Records whose content was damaged on this disk and is lost: %(count)s. Their numbers and hashes stay in the "
    "chain. Have the disk looked at.": (
        "内容在本机磁盘上损坏并丢失的记录：%(count)s 条。其编号和哈希仍在记录链中。请检查磁盘。"
    ),
    "Central has not answered for %(minutes)s min: new orders and holds are not known here. Does it run? "
    "Look at both clocks, and ask its doctor (lotkeeper-central doctor).": (
        "中央服务已 %(minutes)s 分钟未答复：本机不知道新的工单和扣留。"
        "它是否在运行？请检查双方时钟，并在中央服务运行 lotkeeper-central doctor。"
    ),
    "This computer's clock is %(seconds)s s ahead of central's. Set it right: records carry its time.": (
        "本机时钟比中央服务快 %(seconds)s 秒。请校正：记录使用本机时间。"
    ),
    "This computer's clock is %(seconds)s s behind central's. Set it right: records carry its time.": (
        "本机时钟比中央服务慢 %(seconds)s 秒。请校正：记录使用本机时间。"
    ),
    "Central was restored from a backup and asked for %(count)s records that this line no longer has: they cannot "
    "be sent again.": "中央服务已从备份恢复，并索取本产线已不再保留的 %(count)s 条记录：无法重新发送。",
    "Restores of central that left gaps": "留下缺口的中央服务恢复",
    "Told here at %(time)s.": "本机获知时间：%(time)s。",
    "Records %(first)s to %(last)s of series %(epoch)s": "记录序列 %(epoch)s 的记录 %(first)s 至 %(last)s",
    "More stretches: %(count)s. lotkeeper-edge status shows all.": (
        "另有 %(count)s 段：用 lotkeeper-edge status 查看全部。"
    ),
    "Earlier restores that left gaps: %(count)s. lotkeeper-edge status shows all.": (
        "此前另有 %(count)s 次恢复也留下缺口：用 lotkeeper-edge status 查看全部。"
    ),
    "What to do: tell quality. At central, lotkeeper-central certificate --agent %(agent)s says what of it is "
    "lost; the lots that it concerns wait for QA. Back up central more often than keep_acknowledged lasts.": (
        "处理方法：通知质量部门。在中央服务运行 lotkeeper-central certificate --agent %(agent)s "
        "可查明其中丢失的部分；"
        "相关批次须等待 QA 处理。中央服务的备份间隔应短于 keep_acknowledged。"
    ),
    "%(file)s was set aside; nothing of it is missing elsewhere. Move it away once central has everything.": (
        "%(file)s 已另行保存；其内容均已另有保存。中央服务收齐全部记录后请移走该文件。"
    ),
    "%(file)s was set aside, and what of it central lacks cannot be told. Keep it and the disk, and tell "
    "quality.": (
        "%(file)s 已另行保存，无法判断其中哪些记录尚未送达中央服务。请保留该文件和磁盘，并通知质量部门。"
    ),
    "%(file)s was set aside as damaged: %(count)s records of %(agent)s in it prove themselves no more and are "
    "nowhere else. Keep it and the disk, and tell quality.": (
        "%(file)s 因损坏已另行保存：其中 %(agent)s 的 %(count)s 条记录已无法自证，且别处没有。"
        "请保留该文件和磁盘，并通知质量部门。"
    ),
    "%(file)s was set aside, since another agent was at work here: %(count)s records of %(agent)s in it have not "
    "come to central. Run lotkeeper-edge buffer export --folder with this file and the identity of %(agent)s, "
    "import that at central, then move the file away.": (
        "%(file)s 已另行保存，因为此处曾运行另一代理：其中 %(agent)s 的 %(count)s 条记录尚未送达中央服务。"
        "请用 lotkeeper-edge buffer export --folder 指定该文件和 %(agent)s 的身份导出，"
        "在中央服务导入，然后移走该文件。"
    ),
    "The buffer cannot be read, so its records are not shown.": "无法读取缓冲区，因此不显示记录。",
    "Lasts without central": "无中央服务可持续",
    "%(left)s of %(cap)s left": "剩余 %(left)s / %(cap)s",
    "The buffer cannot be read: %(error)s": "无法读取缓冲区：%(error)s",
    "The line file on disk is refused; the agent works by the one before: %(problem)s": (
        "磁盘上的产线文件被拒绝；代理仍按之前的文件工作：%(problem)s"
    ),
    "The agent's identity needs a person: %(problem)s": "代理的身份需要人工处理：%(problem)s",
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
    "Tag": "变量",
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
    "This line has no devices with tags.": "此产线没有带变量的设备。",
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
    # what is missing, and prompts
    "release of the station, which is held": "解除工位扣留",
    "room to record: central or the disk must be seen to": "记录空间：须处理中央服务或磁盘",
    "operator": "操作员",
    "order": "工单",
    "this operation in the order's routing": "工单工艺路线中的本工序",
    "product": "产品",
    "a qualified operator": "具备资质的操作员",
    "a machine that is not blocked": "未被停用的设备",
    "calibration of the machine": "设备校准",
    "This person may not do this operation now.": "此人员目前无权执行该工序。",
    "The machine is blocked.": "设备已被停用。",
    "The machine's calibration is overdue.": "设备校准已过期。",
    "release of what quality holds": "质量部门解除扣留",
    "Quality holds this; it must not be worked on.": "质量部门已扣留，不得加工。",
    "newer word from central": "来自中央服务的最新信息",
    "What central told the line is older than allowed.": "中央服务下达的信息已超过允许的时效。",
    "Scan refused: what central told the line is too old to rely on.": (
        "扫码被拒绝：中央服务下达的信息已过期，不可作为依据。"
    ),
    "A signal held the station.": "信号已扣留工位。",
    "A signal held units.": "信号已扣留产品。",
    "A signal raised an alarm.": "信号触发了报警。",
    "A hold of the station was lifted.": "工位扣留已解除。",
    "Held units were released.": "扣留的产品已放行。",
    "An alarm was acknowledged.": "报警已确认。",
    "Scan refused: nothing at this station expects such a code.": "扫码被拒绝：本工位不需要此类条码。",
    "Scan refused: the barcode is damaged or wrongly made.": "扫码被拒绝：条码损坏或格式错误。",
    "Scan refused: no released order of that name is known.": "扫码被拒绝：没有该名称的已下达工单。",
    "Scan refused: the order does not use that item.": "扫码被拒绝：工单不使用该物料。",
    "Scan refused: the lot is not known.": "扫码被拒绝：批次未知。",
    "The lot has expired.": "批次已过期。",
    "Choose a reason": "请选择原因",
    "Remark": "备注",
    "%(reason)s is no reason of the plant's list; it has: %(reasons)s.": (
        "%(reason)s 不在工厂的原因列表中；可选：%(reasons)s。"
    ),
    "An earlier operation of this piece is missing or has failed.": "该工件的前序工序缺失或不合格。",
    "Waiting for word of this piece's earlier operations.": "正在等待该工件前序工序的信息。",
    "Too little is left of the mounted lot.": "当前批次剩余数量不足。",
    "Scan refused: the code is longer than an identifier can be.": "扫码被拒绝：条码内容超过标识允许的长度。",
    "Scan refused: the load is full. Run it first.": "扫码被拒绝：本批装载已满。请先运行。",
    "an earlier operation of the piece": "该工件的前序工序",
    "word of the piece's earlier operations": "该工件前序工序的信息",
    "Waiting for central's word of what quality holds.": "正在等待中央服务告知质量部门的扣留情况。",
    "word of what quality holds": "质量部门扣留情况的信息",
    "a lot that has not expired": "未过期的批次",
    "another lot, of which enough is left": "另一剩余充足的批次",
    "Scan refused: the lot is blocked.": "扫码被拒绝：批次已冻结。",
    "Scan refused: the label is of another product.": "扫码被拒绝：标签属于其他产品。",
    "Scan refused: the label is of another lot.": "扫码被拒绝：标签属于其他批次。",
    "Scan refused: that serial number is on another piece already.": "扫码被拒绝：该序列号已用于另一件产品。",
    "Scan refused: the badge is not known here.": "扫码被拒绝：本工位不识别该工牌。",
    "Scan refused: no piece waits for a label.": "扫码被拒绝：没有等待贴标的产品。",
    "Scan refused: the unit is held.": "扫码被拒绝：该产品已被扣留。",
    "Scan refused: right, but not at this moment.": "扫码被拒绝：内容正确，但此刻不适用。",
    "Scan refused: the station could not decide in time. Scan again.": "扫码被拒绝：工位未及时判定，请重扫。",
    "The machine's values could not be read; it is asked again.": "无法读取设备的值；将再次读取。",
    "The machine's cycle number could not be read; it is asked again.": "无法读取设备的循环号；将再次读取。",
    "The machine could not be told; it is tried again.": "无法写入设备；将再次尝试。",
    "Nothing can be recorded: the buffer or the disk is full, or the disk is too slow.": (
        "无法记录：缓冲区或磁盘已满，或磁盘太慢。"
    ),
    "The line file is not approved: runs are set-up only.": "产线文件未批准：运行仅限调试。",
    # after signals
    "After signals": "信号之后",
    "What stands": "未结项",
    "Why": "原因",
    "Since": "起始",
    "Station held": "工位已扣留",
    "Units held": "产品已扣留",
    "Alarm": "报警",
    "and %(count)s more": "等另外 %(count)s 件",
    "signalled %(times)s times": "已报 %(times)s 次",
    "Lift the hold": "解除扣留",
    "Release the units": "放行产品",
    "Acknowledge the alarm": "确认报警",
    "Back to the status page": "返回状态页",
    "Chart": "控制图",
    "Units": "产品",
    "Who you are": "您的身份",
    "Your badge, or your name where no badges are scanned.": "您的工牌号；不扫描工牌的工位填写姓名。",
    "Reason": "理由",
    "What was done, in a few words.": "简要说明采取的措施。",
    "Cause": "原因",
    "The cause that was found.": "已查明的原因。",
    "Begin a chart anew": "重新开始控制图",
    "After a cause was found and mended. You are asked for your name and the cause first.": (
        "在查明并排除原因之后。将先要求填写姓名和原因。"
    ),
    "Go on": "继续",
    "No run of points, no open subgroup and no sum reaches back beyond this moment. Limits stay.": (
        "连续点、未完成的子组和累积和均不再跨越此刻。控制限保持不变。"
    ),
    "Nothing of that name stands here. Has somebody ended it already?": "此处没有该名称的未结项。是否已有人处理？",
    "It is recorded with your name and reason.": "将连同您的姓名和理由一起记录。",
    "The machine may run again at once, unless something else is missing.": ("如无其他缺项，设备可立即恢复运行。"),
    "The units may be worked on again at this line; quality decides about them all the same.": (
        "这些产品可在本线继续加工；其处置仍由质量部门决定。"
    ),
    "The alarm ends. The next signal raises it again.": ("报警结束。下一个信号会再次报警。"),
    "The hold is lifted and recorded.": "扣留已解除并已记录。",
    "The units are released and the release is recorded.": "产品已放行并已记录。",
    "The unit is released and the release is recorded; others are still held.": (
        "该产品已放行并已记录；其余产品仍处于扣留状态。"
    ),
    "Which units": "哪些产品",
    "All %(count)s": "全部 %(count)s 件",
    "The hold %(hold)s holds no unit %(unit)s; has somebody released it already?": (
        "%(hold)s 未扣留产品 %(unit)s；是否已有人放行？"
    ),
    "Several held units have the id %(unit)s; name one of: %(units)s.": (
        "有多个被扣留的产品标识为 %(unit)s；请指明其一：%(units)s。"
    ),
    "The alarm is acknowledged and recorded.": "报警已确认并已记录。",
    "The chart begins anew, and that is recorded.": "控制图已重新开始并已记录。",
    "%(rule)s, on the chart of spread": "%(rule)s（离散控制图）",
    "The agent has no station %(station)s.": "代理没有工位 %(station)s。",
    "Nothing can be recorded at %(station)s now; see the status page.": (
        "工位 %(station)s 目前无法记录。请查看状态页。"
    ),
    "The station does not answer now. Look at the status page whether it has happened.": (
        "工位暂无响应。请在状态页查看是否已执行。"
    ),
    "one point beyond a control limit": "一个点超出控制限",
    "one point beyond {sigmas} sigma": "一个点超出 {sigmas} 倍标准差",
    "{points} of {window} points beyond {sigmas} sigma on one side": (
        "连续 {window} 点中有 {points} 点在同一侧超出 {sigmas} 倍标准差"
    ),
    "{window} points in a row on one side of the centre line": "连续 {window} 点落在中心线同一侧",
    "{window} points in a row, each higher or each lower than the one before": "连续 {window} 点递增或递减",
    "{window} points in a row, up and down in turns": "连续 {window} 点上下交替",
    "{window} points in a row within {sigmas} sigma of the centre line": (
        "连续 {window} 点落在中心线 {sigmas} 倍标准差以内"
    ),
    "{window} points in a row beyond {sigmas} sigma, on both sides of the centre line": (
        "连续 {window} 点落在中心线两侧且均超出 {sigmas} 倍标准差"
    ),
    "no limits for what is made now": "当前生产的产品没有控制限",
    "a value outside the specification": "测量值超出规格",
    "Say who you are: a badge or a name.": "请填写您的身份：工牌号或姓名。",
    "%(by)s is no badge of this station: it must fit %(pattern)s.": (
        "%(by)s 不是本工位的工牌号：必须符合 %(pattern)s。"
    ),
    "Give a reason of at least %(least)s characters.": "请填写至少 %(least)s 个字符的理由。",
    "Name the cause that was found and mended.": "请填写已查明并排除的原因。",
    "A reason or a cause has at most %(most)s characters on one line, a name %(name)s.": (
        "理由或原因最多 %(most)s 个字符（单行），姓名最多 %(name)s 个字符。"
    ),
    "Nothing with the name %(hold)s stands at this station; has somebody ended it already?": (
        "该工位没有名为 %(hold)s 的未结项；是否已有人处理？"
    ),
    "This station has no chart of %(characteristic)s.": "该工位没有 %(characteristic)s 的控制图。",
    "The chart of %(characteristic)s has no stream %(stream)s; it has: %(streams)s.": (
        "%(characteristic)s 的控制图没有 %(stream)s；现有：%(streams)s。"
    ),
    "The chart of %(characteristic)s has several streams; name one of: %(streams)s.": (
        "%(characteristic)s 有多张控制图；请指定其一：%(streams)s。"
    ),
    # what central told
    "What central told": "中央服务告知的内容",
    "Held": "持有数",
    "Age of the oldest": "最早内容的时效",
    "Longest age": "最长时效",
    "Beyond it": "超出后",
    "Nothing yet: orders, lots and limits stand here once central has told them.": (
        "尚无：中央服务下发工单、批次和控制限后显示在此处。"
    ),
    "Work order": "工单",
    "Component lots": "组件批次",
    "Recipe": "配方",
    "Limit sets": "控制限",
    "People": "人员",
    "Machines": "设备",
    "What is left of lots": "批次余量",
    "Progress of pieces": "工件进度",
    "Holds of quality": "质量扣留",
    "Approval of the line file": "产线文件的批准",
    "Reasons to choose from": "可选原因",
    "warns": "警告",
    "does not start": "不允许启动",
    "goes on": "继续运行",
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
        "另有 %(count)s 个变量：用 lotkeeper-edge status 查看全部。"
    ),
    "Configuration": "配置",
    "Software": "软件",
    # records
    "Last records": "最近记录",
    "Times in zone %(zone)s": "时区 %(zone)s",
    "%(name)s: %(value)s": "%(name)s：%(value)s",
    "Record": "记录",
    "Time": "时间",
    "What": "内容",
    "Run": "工序运行",
    "Event": "事件",
    "Decision": "决定",
    "Record series opened": "记录序列开启",
    "Telemetry": "遥测",
    "pass": "合格",
    "fail": "不合格",
    "scrap": "报废",
    "not judged": "未判定",
    "aborted": "中止",
    "mixed": "不一致",
    "Nothing has been recorded yet.": "尚无记录。",
    "Content of a record is gone; its number and its hash stay": "记录内容已不存在；记录号和哈希保留",
    "yes": "是",
    "no": "否",
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
    "Read a tag": "读取变量",
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
