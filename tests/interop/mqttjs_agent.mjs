// Drives MQTT.js for the interop suite: one JSON command a line on standard input, answers and events on standard
// output. Knows nothing of what the suite expects. The protocol is described in tests/src/interop/agent.rs.
//
// Usage: mqttjs_agent.mjs HOST PORT FOLDER, where FOLDER/node_modules holds the package `mqtt`.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

// How long a broker may take to answer, in milliseconds.
const PATIENCE = 20_000

const [host, port, folder] = process.argv.slice(2)
const mqtt = createRequire(folder + '/')('mqtt')

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')

// Leaves out what is not given: MQTT.js would send `null` as a value.
const given = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value != null))

function publishProperties ({ properties }) {
  const user = {}
  for (const [name, value] of properties.user) (user[name] ??= []).push(value)
  return given({
    payloadFormatIndicator: properties.payload_format == null ? null : properties.payload_format === 1,
    messageExpiryInterval: properties.expiry,
    contentType: properties.content_type,
    responseTopic: properties.response_topic,
    topicAlias: properties.topic_alias,
    correlationData: properties.correlation_data == null ? null : Buffer.from(properties.correlation_data, 'hex'),
    userProperties: properties.user.length ? user : null
  })
}

function described (topic, payload, packet) {
  const seen = packet.properties ?? {}
  const user = Object.entries(seen.userProperties ?? {}).flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
  return {
    topic,
    payload: payload.toString('hex'),
    qos: packet.qos,
    retain: packet.retain,
    properties: {
      payload_format: seen.payloadFormatIndicator == null ? null : Number(seen.payloadFormatIndicator),
      expiry: seen.messageExpiryInterval,
      content_type: seen.contentType,
      response_topic: seen.responseTopic,
      correlation_data: seen.correlationData?.toString('hex'),
      user,
      subscription_identifiers: [seen.subscriptionIdentifier ?? []].flat()
    }
  }
}

// Settles as `start(resolve, reject)` says, or fails when the broker takes too long.
function answered (what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: no answer in time`)), PATIENCE)
    start(
      (value) => { clearTimeout(timer); resolve(value) },
      (error) => { clearTimeout(timer); reject(error) }
    )
  })
}

class Handle {
  constructor (number, options) {
    this.v5 = options.version === 5
    this.reason = null
    const will = options.will && {
      topic: options.will.message.topic,
      payload: Buffer.from(options.will.message.payload, 'hex'),
      qos: options.will.message.qos,
      retain: options.will.message.retain,
      ...(this.v5 && {
        properties: {
          ...publishProperties(options.will.message),
          ...given({ willDelayInterval: options.will.delay_s || null })
        }
      })
    }
    this.client = mqtt.connect({
      host,
      port: Number(port),
      protocolVersion: options.version,
      ...(options.version === 3 && { protocolId: 'MQIsdp' }),
      clientId: options.client_id,
      clean: options.clean_start,
      keepalive: options.keep_alive_s,
      reconnectPeriod: 0,
      ...(will && { will }),
      ...(this.v5 && {
        autoAssignTopicAlias: options.topic_alias_maximum != null,
        properties: given({
          sessionExpiryInterval: options.session_expiry_s,
          receiveMaximum: options.receive_maximum,
          topicAliasMaximum: options.topic_alias_maximum
        })
      })
    })
    this.client.on('message', (topic, payload, packet) => say({ client: number, message: described(topic, payload, packet) }))
    this.client.on('disconnect', (packet) => { this.reason = packet.reasonCode })
    this.client.on('close', () => say({ client: number, closed: { reason: this.reason } }))
    this.client.on('error', (error) => { this.failed?.(error) })
  }

  connected () {
    return answered('CONNACK', (resolve, reject) => {
      this.failed = reject
      this.client.once('close', () => reject(new Error('closed')))
      this.client.once('connect', (packet) => {
        this.failed = null
        resolve({
          session_present: packet.sessionPresent,
          assigned_client_id: packet.properties?.assignedClientIdentifier,
          topic_alias_maximum: packet.properties?.topicAliasMaximum
        })
      })
    })
  }

  resume () {
    // The same client object, with what it remembers of unfinished exchanges.
    const { incomingStore, outgoingStore } = this.client
    this.client.reconnect({ incomingStore, outgoingStore })
    return this.connected()
  }

  subscribe ({ filters, identifier }) {
    const wanted = {}
    for (const entry of filters) {
      wanted[entry.filter] = this.v5
        ? { qos: entry.qos, nl: entry.no_local, rap: entry.retain_as_published, rh: entry.retain_handling }
        : { qos: entry.qos }
    }
    const options = this.v5 && identifier != null ? { properties: { subscriptionIdentifier: identifier } } : {}
    return answered('SUBACK', (resolve, reject) => {
      this.client.subscribe(wanted, options, (error, _granted, packet) => error ? reject(error) : resolve(packet.granted))
    })
  }

  unsubscribe ({ filters }) {
    return answered('UNSUBACK', (resolve, reject) => {
      this.client.unsubscribe(filters, (error, packet) => error ? reject(error) : resolve(packet?.granted ?? []))
    })
  }

  publish ({ messages }) {
    return Promise.all(messages.map((message) => answered('PUBLISH', (resolve, reject) => {
      const options = { qos: message.qos, retain: message.retain, ...(this.v5 && { properties: publishProperties(message) }) }
      this.client.publish(message.topic, Buffer.from(message.payload, 'hex'), options, (error) => error ? reject(error) : resolve())
    }))).then(() => null)
  }

  disconnect () {
    return answered('end', (resolve, reject) => this.client.end(false, {}, (error) => error ? reject(error) : resolve(null)))
  }

  cut () {
    return answered('close', (resolve) => {
      this.client.once('close', () => resolve(null))
      this.client.stream.destroy()
    })
  }

  drop () {
    this.client.end(true)
    return null
  }
}

const handles = new Map()

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  const { client: number, do: action } = command
  try {
    let done
    if (action === 'connect') {
      handles.set(number, new Handle(number, command.options))
      done = await handles.get(number).connected()
    } else if (action === 'drop') {
      done = handles.get(number)?.drop()
      handles.delete(number)
    } else {
      done = await handles.get(number)[action](command)
    }
    say({ done: done ?? null })
  } catch (error) {
    say({ error: `${action}: ${error.message}` })
  }
}
process.exit(0)
