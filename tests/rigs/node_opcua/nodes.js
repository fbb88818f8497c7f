// What the server holds: the suite's tags, one node of every kind that a driver may meet, and clocks for benchmarks.
"use strict";

const opcua = require("node-opcua");
const { DataType, StatusCodes, Variant, VariantArrayType } = opcua;

const OURS = "urn:test";
const DI_DEVICE_SET = 5001;

/** Tags of the driver suite: name, type, first value. */
const TAGS = [
  ["torque", "Double", 2.2],
  ["count", "UInt32", 7],
  ["done", "Boolean", false],
  ["ack", "Boolean", false],
  ["carrier", "String", "C-017"],
  ["profile", "Double", [1.5, 2.5, 3.5]],
  ["doomed", "Int32", 5],
];

/** One node of every built-in type; values as they come over the control channel. */
const SCALARS = {
  Boolean: true,
  SByte: -128,
  Byte: 255,
  Int16: -32768,
  UInt16: 65535,
  Int32: -2147483648,
  UInt32: 4294967295,
  Int64: "-9223372036854775808",
  UInt64: "18446744073709551615",
  Float: 1.5,
  Double: 0.1,
  String: "Ünï 测试",
  DateTime: "2026-11-25T12:34:56.789Z",
  Guid: "72962B91-FA75-4AE6-8D28-B404DC7DAF63",
  ByteString: "00ff10",
  XmlElement: "<a/>",
  NodeId: "ns=0;i=2258",
  StatusCode: "BadSensorFailure",
  QualifiedName: "named",
  LocalizedText: "text",
};

/** JSON to what node-opcua keeps for a scalar of this type. */
function coerce(type, value) {
  if (value === null) return null;
  switch (type) {
    case "Int64":
      return int64(BigInt(value));
    case "UInt64":
      return int64(BigInt(value));
    case "Float":
    case "Double":
      return Number(value); // "NaN" and "Infinity" come as text
    case "DateTime":
      return new Date(value);
    case "ByteString":
      return Buffer.from(value, "hex");
    case "NodeId":
      return opcua.coerceNodeId(value);
    case "StatusCode":
      return StatusCodes[value];
    case "QualifiedName":
      return opcua.coerceQualifiedName(value);
    case "LocalizedText":
      return opcua.coerceLocalizedText(value);
    default:
      return value;
  }
}

/** Two 32-bit halves, the high one first. */
function int64(value) {
  const bits = BigInt.asUintN(64, value);
  return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
}

function variant(type, value, dimensions) {
  if (!Array.isArray(value))
    return new Variant({ dataType: DataType[type], arrayType: VariantArrayType.Scalar, value: coerce(type, value) });
  const arrayType = dimensions ? VariantArrayType.Matrix : VariantArrayType.Array;
  const values = value.map((each) => coerce(type, each));
  return new Variant({ dataType: DataType[type], arrayType, dimensions, value: values });
}

/** JSON of a value that node-opcua keeps. */
function plain(held) {
  const { dataType, value } = held;
  const one = (each) => {
    if (dataType === DataType.ByteString) return each && each.toString("hex");
    if (dataType === DataType.Int64) return String(BigInt.asIntN(64, (BigInt(each[0]) << 32n) | BigInt(each[1])));
    if (dataType === DataType.UInt64) return String((BigInt(each[0]) << 32n) | BigInt(each[1]));
    return each;
  };
  return held.arrayType === VariantArrayType.Scalar ? one(value) : Array.from(value, one);
}

class Nodes {
  /** `others`: namespaces that come before ours, as after a change of the PLC's program. */
  constructor(addressSpace, { others = [], ticks = 0, identity = {} }) {
    this.space = addressSpace;
    this.types = new Map();
    this.made = new Map();
    for (const uri of others) addressSpace.registerNamespace(uri);
    this.ours = addressSpace.registerNamespace(OURS);
    this.folder = this.ours.addFolder("ObjectsFolder", { browseName: "Line", nodeId: "s=Line" });
    for (const [name, type, value] of TAGS) this.add(name, type, value);
    for (const [type, value] of Object.entries(SCALARS)) {
      this.add(`Scalar.${type}`, type, value);
      this.add(`Array.${type}`, type, [value, value]);
    }
    this.add("Matrix", "Int32", [1, 2, 3, 4, 5, 6], [2, 3]);
    this.addTyped();
    this.addStructure();
    this.addAnalog();
    this.addMethod();
    this.addIdentity(identity);
    this.ticks = Array.from({ length: ticks }, (_, n) => this.add(`Tick.${n}`, "UInt32", 0));
  }

  add(name, type, value, dimensions) {
    const node = this.ours.addVariable({
      organizedBy: this.folder,
      browseName: name,
      nodeId: `s=${name}`,
      dataType: type,
      valueRank: dimensions ? dimensions.length : Array.isArray(value) ? 1 : -1,
      arrayDimensions: dimensions,
      minimumSamplingInterval: 10,
    });
    node.setValueFromSource(variant(type, value, dimensions));
    this.types.set(name, [type, dimensions]);
    this.made.set(name, node);
    return node;
  }

  addTyped() {
    const mode = this.ours.addEnumerationType({
      browseName: "ModeType",
      enumeration: [
        { displayName: "Stopped", value: 0 },
        { displayName: "Running", value: 4 },
      ],
    });
    this.made.set(
      "Mode",
      this.ours.addVariable({
        organizedBy: this.folder,
        browseName: "Mode",
        nodeId: "s=Mode",
        dataType: mode,
        value: { dataType: DataType.Int32, value: 4 },
      }),
    );
    this.types.set("Mode", ["Int32"]);
  }

  /** A structure with fields of its own. */
  addStructure() {
    const seal = this.space.getNamespace("urn:test:types").findDataType("SealType");
    const fields = { temperature: 131.4, good: true, nest: 2, label: "A" };
    const value = this.space.constructExtensionObject(seal, fields);
    const node = this.ours.addVariable({
      organizedBy: this.folder,
      browseName: "Seal",
      nodeId: "s=Seal",
      dataType: seal,
      value: { dataType: DataType.ExtensionObject, value },
    });
    this.made.set("Seal", node);
  }

  addAnalog() {
    this.made.set(
      "Pressure",
      this.ours.addAnalogDataItem({
        organizedBy: this.folder,
        browseName: "Pressure",
        nodeId: "s=Pressure",
        dataType: "Double",
        engineeringUnitsRange: { low: 0, high: 10 },
        engineeringUnits: opcua.standardUnits.bar,
        value: { dataType: DataType.Double, value: 5.5 },
      }),
    );
    this.types.set("Pressure", ["Double"]);
  }

  addMethod() {
    const device = this.ours.addObject({ organizedBy: this.folder, browseName: "Station", nodeId: "s=Station" });
    const argument = (name, dataType) => ({ name, description: name, dataType });
    const method = this.ours.addMethod(device, {
      browseName: "Start",
      nodeId: "s=Station.Start",
      inputArguments: [argument("program", DataType.UInt32)],
      outputArguments: [argument("next", DataType.UInt32)],
    });
    method.bindMethod((inputs, context, done) => {
      const program = inputs[0].value;
      const refused = program === 0;
      done(null, {
        statusCode: refused ? StatusCodes.BadOutOfRange : StatusCodes.Good,
        outputArguments: refused ? [] : [{ dataType: DataType.UInt32, value: program + 1 }],
      });
    });
  }

  /** A device as OPC UA for Devices says it: its serial number and what runs on it. */
  addIdentity({ serial = "SN-1", software = "1.0", manufacturer = "Maker", model = "Press" }) {
    const at = this.space.getNamespaceIndex("http://opcfoundation.org/UA/DI/");
    if (at < 0) return;
    const device = this.ours.addObject({
      componentOf: `ns=${at};i=${DI_DEVICE_SET}`,
      browseName: "Press",
      nodeId: "s=Press",
      typeDefinition: "FolderType",
    });
    const facts = { SerialNumber: serial, SoftwareRevision: software, Manufacturer: manufacturer, Model: model };
    for (const [name, value] of Object.entries(facts)) {
      const node = this.ours.addVariable({
        propertyOf: device,
        browseName: { namespaceIndex: at, name },
        nodeId: `s=Press.${name}`,
        dataType: "String",
        value: { dataType: DataType.String, value },
      });
      this.made.set(name, node);
      this.types.set(name, ["String"]);
    }
  }

  set(name, value, status = "Good", source = null) {
    const [type, dimensions] = this.types.get(name);
    const time = source === null ? undefined : new Date(source);
    this.made.get(name).setValueFromSource(variant(type, value, dimensions), StatusCodes[status], time);
  }

  /** A value of another type than the node's own, as careless PLC programs have it. */
  setType(name, type, value) {
    const node = this.made.get(name);
    node.setValueFromSource = Object.getPrototypeOf(node).setValueFromSource;
    node._dataValue.value = variant(type, value);
    node._dataValue.sourceTimestamp = new Date();
  }

  get(name) {
    return plain(this.made.get(name).readValue().value);
  }

  delete(name) {
    this.space.deleteNode(this.made.get(name));
    this.made.delete(name);
  }

  /** These tick nodes hold the number, stamped with the moment that it began. */
  tick(first, count, number, at) {
    const status = StatusCodes.Good;
    for (const node of this.ticks.slice(first, first + count))
      node.setValueFromSource({ dataType: DataType.UInt32, value: number }, status, at);
  }
}

module.exports = { Nodes };
