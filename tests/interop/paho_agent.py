"""Drives paho-mqtt for the interop suite: one JSON command a line on standard input, answers and events on standard
output. Knows nothing of what the suite expects. The protocol is described in tests/src/interop/agent.rs.

Usage: paho_agent.py HOST PORT
"""

import json
import queue
import socket
import sys
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

# How long a broker may take to answer, in seconds.
PATIENCE = 20

HOST, PORT = sys.argv[1], int(sys.argv[2])

output = threading.Lock()


def say(value):
    with output:
        print(json.dumps(value), flush=True)


def message_properties(message, packet_type):
    properties = Properties(packet_type)
    given = message["properties"]
    for name, attribute in (
        ("payload_format", "PayloadFormatIndicator"),
        ("expiry", "MessageExpiryInterval"),
        ("content_type", "ContentType"),
        ("response_topic", "ResponseTopic"),
        ("topic_alias", "TopicAlias"),
    ):
        if given.get(name) is not None:
            setattr(properties, attribute, given[name])
    if given.get("correlation_data") is not None:
        properties.CorrelationData = bytes.fromhex(given["correlation_data"])
    for pair in given["user"]:
        properties.UserProperty = tuple(pair)
    return properties


def described(message):
    properties = {"user": [], "subscription_identifiers": []}
    seen = message.properties
    if seen is not None:
        for name, attribute in (
            ("payload_format", "PayloadFormatIndicator"),
            ("expiry", "MessageExpiryInterval"),
            ("content_type", "ContentType"),
            ("response_topic", "ResponseTopic"),
        ):
            properties[name] = getattr(seen, attribute, None)
        correlation = getattr(seen, "CorrelationData", None)
        properties["correlation_data"] = None if correlation is None else correlation.hex()
        properties["user"] = [list(pair) for pair in getattr(seen, "UserProperty", [])]
        properties["subscription_identifiers"] = list(getattr(seen, "SubscriptionIdentifier", []))
    return {
        "topic": message.topic,
        "payload": message.payload.hex(),
        "qos": message.qos,
        "retain": bool(message.retain),
        "properties": properties,
    }


class Handle:
    """One MQTT client of the suite."""

    def __init__(self, number, options):
        self.number = number
        self.options = options
        self.v5 = options["version"] == 5
        self.answers = queue.Queue()
        arguments = {"client_id": options["client_id"], "reconnect_on_failure": False}
        if self.v5:
            arguments["protocol"] = paho.MQTTv5
        else:
            arguments["protocol"] = paho.MQTTv31 if options["version"] == 3 else paho.MQTTv311
            arguments["clean_session"] = options["clean_start"]
        self.client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, **arguments)
        will = options.get("will")
        if will is not None:
            message = will["message"]
            properties = None
            if self.v5:
                properties = message_properties(message, PacketTypes.WILLMESSAGE)
                if will["delay_s"]:
                    properties.WillDelayInterval = will["delay_s"]
            client.will_set(
                message["topic"], bytes.fromhex(message["payload"]), message["qos"], message["retain"], properties
            )
        client.on_connect = lambda _client, _data, flags, reason, properties: self.answers.put(
            ("connack", flags, reason, properties)
        )
        client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: self.answers.put(("suback", reasons))
        client.on_unsubscribe = lambda _client, _data, _mid, reasons, _properties: self.answers.put(
            ("unsuback", reasons)
        )
        client.on_message = lambda _client, _data, message: say({"client": number, "message": described(message)})
        client.on_disconnect = self.on_disconnect

    def on_disconnect(self, _client, _data, flags, reason, _properties):
        sent = flags.is_disconnect_packet_from_server
        say({"client": self.number, "closed": {"reason": reason.value if sent else None}})
        self.answers.put(("closed", str(reason)))

    def answer(self, kind):
        seen = self.answers.get(timeout=PATIENCE)
        if seen[0] != kind:
            raise RuntimeError(f"waited for {kind}, got {seen}")
        return seen

    def connect(self):
        options = self.options
        arguments = {}
        if self.v5:
            properties = Properties(PacketTypes.CONNECT)
            if options.get("session_expiry_s") is not None:
                properties.SessionExpiryInterval = options["session_expiry_s"]
            if options.get("receive_maximum") is not None:
                properties.ReceiveMaximum = options["receive_maximum"]
            if options.get("topic_alias_maximum") is not None:
                properties.TopicAliasMaximum = options["topic_alias_maximum"]
            arguments = {"clean_start": options["clean_start"], "properties": properties}
        self.client.connect(HOST, PORT, options["keep_alive_s"], **arguments)
        return self.connected()

    def resume(self):
        # The same client object, with what it remembers of unfinished exchanges.
        self.client.loop_stop()
        while not self.answers.empty():
            self.answers.get()
        self.client.reconnect()
        return self.connected()

    def connected(self):
        self.client.loop_start()
        _, flags, reason, properties = self.answer("connack")
        if reason.is_failure:
            raise RuntimeError(f"CONNACK {reason}")
        return {
            "session_present": flags.session_present,
            "assigned_client_id": getattr(properties, "AssignedClientIdentifier", None),
            "topic_alias_maximum": getattr(properties, "TopicAliasMaximum", None),
        }

    def subscribe(self, filters, identifier):
        if self.v5:
            properties = None
            if identifier is not None:
                properties = Properties(PacketTypes.SUBSCRIBE)
                properties.SubscriptionIdentifier = identifier
            self.client.subscribe(
                [
                    (
                        entry["filter"],
                        SubscribeOptions(
                            qos=entry["qos"],
                            noLocal=entry["no_local"],
                            retainAsPublished=entry["retain_as_published"],
                            retainHandling=entry["retain_handling"],
                        ),
                    )
                    for entry in filters
                ],
                properties=properties,
            )
        else:
            self.client.subscribe([(entry["filter"], entry["qos"]) for entry in filters])
        return [reason.value for reason in self.answer("suback")[1]]

    def unsubscribe(self, filters):
        self.client.unsubscribe(filters)
        return [reason.value for reason in self.answer("unsuback")[1]]

    def publish(self, messages):
        sent = [
            self.client.publish(
                message["topic"],
                bytes.fromhex(message["payload"]),
                message["qos"],
                message["retain"],
                message_properties(message, PacketTypes.PUBLISH) if self.v5 else None,
            )
            for message in messages
        ]
        for info in sent:
            info.wait_for_publish(PATIENCE)
            if not info.is_published():
                raise RuntimeError("a PUBLISH was not acknowledged in time")

    def disconnect(self):
        self.client.disconnect()
        self.answer("closed")
        self.client.loop_stop()

    def cut(self):
        # The network thread finds the socket at its end, as it would after a broken link.
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.answer("closed")
        self.client.loop_stop()

    def drop(self):
        self.client.disconnect()
        self.client.loop_stop()


def main():
    handles = {}
    for line in sys.stdin:
        command = json.loads(line)
        number, action = command["client"], command["do"]
        try:
            if action == "connect":
                handles[number] = Handle(number, command["options"])
                done = handles[number].connect()
            elif action == "subscribe":
                done = handles[number].subscribe(command["filters"], command["identifier"])
            elif action == "unsubscribe":
                done = handles[number].unsubscribe(command["filters"])
            elif action == "publish":
                done = handles[number].publish(command["messages"])
            elif action == "drop":
                done = handles.pop(number).drop() if number in handles else None
            else:
                done = {"resume": Handle.resume, "disconnect": Handle.disconnect, "cut": Handle.cut}[action](
                    handles[number]
                )
            say({"done": done})
        except Exception as error:  # whatever it is, the suite is to see it
            say({"error": f"{action}: {type(error).__name__}: {error}"})


main()
