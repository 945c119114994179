"use strict"

module.exports.echo = async (event) => ({
  statusCode: 200,
  headers: { "content-type": "application/json" },
  body: event.body,
})
